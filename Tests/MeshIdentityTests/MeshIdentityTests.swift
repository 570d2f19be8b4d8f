// Tests of MeshIdentity
