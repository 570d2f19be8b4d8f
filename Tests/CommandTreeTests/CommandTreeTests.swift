// Tests of CommandTree
