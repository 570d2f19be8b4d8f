// Tests of Handoff
