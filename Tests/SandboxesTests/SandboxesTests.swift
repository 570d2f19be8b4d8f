// Tests of Sandboxes
