// Tests of MeshNode
