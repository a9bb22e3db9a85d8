//! CRI's `ImageService`, method by method.

use std::sync::Arc;

use cri::{
    ImageFsInfoRequest, ImageService, ImageStatusRequest, ImageStatusResponse, ListImagesRequest, ListImagesResponse,
    PullImageRequest, PullImageResponse, RemoveImageRequest, RemoveImageResponse,
};
use grpc::Router;

use super::{list_stream, required, unary};
use crate::image_method;

/// Adds all methods to a router.
pub fn routes(mut router: Router, images: &Arc<dyn ImageService>) -> Router {
    unary!(router, images, image_method!("ListImages"), |images, request: ListImagesRequest| {
        ListImagesResponse { images: images.list_images(request.filter.unwrap_or_default()).await? }
    });
    list_stream!(
        router,
        images,
        image_method!("StreamImages"),
        |images, request: ListImagesRequest| images.list_images(request.filter.unwrap_or_default()).await?,
        |images| ListImagesResponse { images }
    );
    unary!(router, images, image_method!("ImageStatus"), |images, request: ImageStatusRequest| {
        let image = images.image_status(&required(request.image, "image")?).await?;
        ImageStatusResponse { image, ..ImageStatusResponse::default() }
    });
    unary!(router, images, image_method!("PullImage"), |images, request: PullImageRequest| {
        let image = required(request.image, "image")?;
        PullImageResponse { image_ref: images.pull_image(image, request.auth, request.sandbox_config).await? }
    });
    unary!(router, images, image_method!("RemoveImage"), |images, request: RemoveImageRequest| {
        images.remove_image(&required(request.image, "image")?).await?;
        RemoveImageResponse {}
    });
    unary!(router, images, image_method!("ImageFsInfo"), |images, _request: ImageFsInfoRequest| {
        images.image_fs_info().await?
    });
    router
}
