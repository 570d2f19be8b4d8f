/// Keys, names and sealed sessions of the mesh (AgentMesh wire §1 to §5, §7, §8).
///
/// Values and codecs only: no socket, no clock of its own. The one thin edge is `AtRest`, which reads and
/// writes files.
