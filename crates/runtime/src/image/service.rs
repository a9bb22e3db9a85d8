//! [`cri::ImageService`] over the store.

use async_trait::async_trait;
use cri::{
    AuthConfig, FilesystemIdentifier, FilesystemUsage, Image, ImageFilter, ImageFsInfoResponse, ImageSpec, Int64Value,
    PodSandboxConfig, UInt64Value,
};

use super::blocking::blocking;
use super::error::{ImageError, PullError, StoreError};
use super::index::ImageRecord;
use super::pull::RequestCredentials;
use super::registries::{Credentials, MalformedAuth, credentials};
use super::{ImageStore, layers_usage, parse_name};
use crate::snapshot;

#[async_trait]
impl cri::ImageService for ImageStore {
    async fn list_images(&self, filter: ImageFilter) -> cri::Result<Vec<Image>> {
        let wanted = filter.image.map(|spec| spec.image).filter(|name| !name.is_empty());
        let images = match wanted {
            Some(name) => self.find(&name)?.into_iter().collect(),
            None => self.list()?,
        };
        Ok(images.iter().map(to_cri).collect())
    }

    async fn image_status(&self, image: &ImageSpec) -> cri::Result<Option<Image>> {
        Ok(self.find(&image.image)?.as_ref().map(to_cri))
    }

    async fn pull_image(
        &self,
        image: ImageSpec,
        auth: Option<AuthConfig>,
        _sandbox_config: Option<PodSandboxConfig>,
    ) -> cri::Result<String> {
        let reference = parse_name(&image.image)?;
        let credentials = auth
            .map(request_credentials)
            .transpose()
            .map_err(|source| ImageError::Pull { image: reference.to_string(), source })?;
        match self.puller.pull(reference, credentials.flatten()).await {
            Ok(id) => Ok(id.to_string()),
            Err(error) => Err(error.to_cri()),
        }
    }

    async fn remove_image(&self, image: &ImageSpec) -> cri::Result<()> {
        // As CRI has it, any name removes the image with all its names.
        let Some(found) = self.find(&image.image)? else { return Ok(()) };
        let files = self.files.clone();
        match blocking(move || files.remove_image(found.id.as_str())).await {
            Err(ImageError::NotFound(_)) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    async fn image_fs_info(&self) -> cri::Result<ImageFsInfoResponse> {
        let files = self.files.clone();
        let measure = move || Ok((layers_usage(&files)?, snapshot::total_usage(&files)?));
        let (images, containers) = blocking(measure).await.map_err(|error: StoreError| ImageError::from(error))?;
        Ok(ImageFsInfoResponse {
            image_filesystems: vec![self.usage("layers", images)],
            container_filesystems: vec![self.usage("snapshots", containers)],
        })
    }
}

impl ImageStore {
    fn usage(&self, directory: &str, usage: super::unpack::Usage) -> FilesystemUsage {
        let nanoseconds = i64::try_from(self.clock.now().as_nanosecond()).unwrap_or(i64::MAX);
        FilesystemUsage {
            timestamp: nanoseconds,
            fs_id: Some(FilesystemIdentifier {
                mountpoint: self.files.root().join(directory).to_string_lossy().into_owned(),
            }),
            used_bytes: Some(UInt64Value { value: usage.bytes }),
            inodes_used: Some(UInt64Value { value: usage.inodes }),
        }
    }
}

fn to_cri(image: &ImageRecord) -> Image {
    let user = image.config.user.split(':').next().unwrap_or_default();
    let uid = user.parse::<i64>().ok();
    Image {
        id: image.id.to_string(),
        repo_tags: image.tags.iter().cloned().collect(),
        repo_digests: image.digests.iter().cloned().collect(),
        size: image.size_bytes,
        username: if uid.is_none() { user.to_owned() } else { String::new() },
        uid: uid.map(|value| Int64Value { value }),
        spec: None,
        pinned: false,
    }
}

/// Credentials in the forms that pull secrets have; none when the request brings an empty set.
fn request_credentials(auth: AuthConfig) -> Result<Option<RequestCredentials>, PullError> {
    if !auth.identity_token.is_empty() {
        return Err(PullError::Credentials("identity tokens are not supported"));
    }
    let credentials = if auth.registry_token.is_empty() {
        credentials(&auth.username, &auth.password, &auth.auth)
            .map_err(|MalformedAuth| PullError::Credentials("auth must be base64 of username:password"))?
    } else {
        Some(Credentials::Token(auth.registry_token))
    };
    let registry = (!auth.server_address.is_empty()).then(|| host_of(&auth.server_address).to_owned());
    Ok(credentials.map(|credentials| RequestCredentials { registry, credentials }))
}

/// The host of `https://host/v1/` and the like.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
