//! The fake's images: names that are there or not.

use async_trait::async_trait;
use cri::{AuthConfig, Error, Image, ImageFilter, ImageFsInfoResponse, ImageSpec, PodSandboxConfig, Result};

use super::FakeCri;

/// What every fake image weighs.
const IMAGE_SIZE: u64 = 1000;

fn image(name: &str) -> Image {
    Image { id: format!("id-of-{name}"), repo_tags: vec![name.to_owned()], size: IMAGE_SIZE, ..Image::default() }
}

#[async_trait]
impl cri::ImageService for FakeCri {
    async fn list_images(&self, _filter: ImageFilter) -> Result<Vec<Image>> {
        Ok(self.state().images.iter().map(|name| image(name)).collect())
    }

    async fn image_status(&self, spec: &ImageSpec) -> Result<Option<Image>> {
        Ok(self.state().images.contains(&spec.image).then(|| image(&spec.image)))
    }

    async fn pull_image(
        &self,
        spec: ImageSpec,
        _auth: Option<AuthConfig>,
        _sandbox_config: Option<PodSandboxConfig>,
    ) -> Result<String> {
        self.call(format!("pull {}", spec.image));
        let (time, failure) = {
            let state = self.state();
            (state.behaviour.pull_time, state.behaviour.pull_failures.get(&spec.image).cloned())
        };
        tokio::time::sleep(time).await;
        if let Some(failure) = failure {
            return Err(Error::Failed(failure));
        }
        self.state().images.insert(spec.image.clone());
        Ok(image(&spec.image).id)
    }

    async fn remove_image(&self, spec: &ImageSpec) -> Result<()> {
        self.state().images.remove(&spec.image);
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<ImageFsInfoResponse> {
        Ok(ImageFsInfoResponse::default())
    }
}
