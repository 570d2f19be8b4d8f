// Tests of kars
