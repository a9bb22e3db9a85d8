//! What the embedded runtime can do and Debian's containerd, version 1.6, cannot.

use crate::cluster::Cluster;

/// Something that not every runtime can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// Images that are imported by `isopod images`.
    ImportedImages,
    /// The content of an image as a volume.
    ImageVolumes,
    /// Users of a Pod's own.
    UserNamespaces,
    /// Telling whom a container's first process runs as, and leaving out the groups of the image.
    Users,
    /// A stop signal that the Pod chooses.
    StopSignals,
    /// Saying which of these it can do.
    Features,
    /// A pause process of the runtime's own, and not one of an image.
    OwnPause,
}

impl Ability {
    fn why_not(self) -> &'static str {
        match self {
            Self::ImportedImages => "other runtimes keep their own images",
            Self::ImageVolumes => "this containerd knows no image volumes (2.1 does)",
            Self::UserNamespaces => "this containerd knows no user namespaces (2.0 does)",
            Self::Users => "this containerd tells no users of containers (2.0 does)",
            Self::StopSignals => "this containerd takes stop signals from images only (2.1 takes the Pod's)",
            Self::Features => "this containerd does not say what it can do (2.0 does)",
            Self::OwnPause => "containerd's pause process is that of an image",
        }
    }
}

impl Cluster {
    /// Whether the runtime cannot do this; a case that skips what needs it has said so with this call.
    pub fn lacks(&self, ability: Ability) -> bool {
        if self.uses_containerd() {
            println!("     skipped: {}", ability.why_not());
        }
        self.uses_containerd()
    }
}
