//! CRI's `ImageService` over the socket.

use async_trait::async_trait;
use cri::{
    AuthConfig, Image, ImageFilter, ImageFsInfoRequest, ImageFsInfoResponse, ImageService, ImageSpec,
    ImageStatusRequest, ImageStatusResponse, ListImagesRequest, ListImagesResponse, PodSandboxConfig, PullImageRequest,
    PullImageResponse, RemoveImageRequest, RemoveImageResponse, Result,
};

use super::Client;
use crate::image_method;

#[async_trait]
impl ImageService for Client {
    async fn list_images(&self, filter: ImageFilter) -> Result<Vec<Image>> {
        let request = ListImagesRequest { filter: Some(filter) };
        let response: ListImagesResponse = self.call(image_method!("ListImages"), request).await?;
        Ok(response.images)
    }

    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>> {
        let request = ImageStatusRequest { image: Some(image.clone()), verbose: false };
        let response: ImageStatusResponse = self.call(image_method!("ImageStatus"), request).await?;
        Ok(response.image)
    }

    async fn pull_image(
        &self,
        image: ImageSpec,
        auth: Option<AuthConfig>,
        sandbox_config: Option<PodSandboxConfig>,
    ) -> Result<String> {
        // As upstream's kubelet, which chose the credentials for this image: containerd refuses a server that is not
        // written as a URL, and takes docker.io's for those of another host.
        let auth = auth.map(|auth| AuthConfig { server_address: String::new(), ..auth });
        let request = PullImageRequest { image: Some(image), auth, sandbox_config };
        // As long as it takes: the runtime gives up when nothing arrives any more.
        let response: PullImageResponse = self.call_within(image_method!("PullImage"), request, None).await?;
        Ok(response.image_ref)
    }

    async fn remove_image(&self, image: &ImageSpec) -> Result<()> {
        let request = RemoveImageRequest { image: Some(image.clone()) };
        let _: RemoveImageResponse = self.call(image_method!("RemoveImage"), request).await?;
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<ImageFsInfoResponse> {
        self.call(image_method!("ImageFsInfo"), ImageFsInfoRequest {}).await
    }
}
