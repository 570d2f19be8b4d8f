// Tests of ReferenceAgent
