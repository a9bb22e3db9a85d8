//! Version 1 of the storage group, one module per kind.

pub mod csi;
pub mod storage_class;
pub mod volume_attributes_class;
