//! The storage group.

pub mod csi;
pub mod storage_class;
pub mod volume_attributes_class;
