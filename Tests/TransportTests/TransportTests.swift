// Tests of Transport
