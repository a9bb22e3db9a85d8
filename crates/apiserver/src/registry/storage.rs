//! The storage group.

pub mod storage_class;
pub mod volume_attributes_class;
