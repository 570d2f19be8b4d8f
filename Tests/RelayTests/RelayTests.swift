// Tests of Relay
