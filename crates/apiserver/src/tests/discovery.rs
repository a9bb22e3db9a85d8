use serde_json::json;

use super::Cluster;

#[tokio::test]
async fn discovery_is_served_plain_and_aggregated() {
    let cluster = Cluster::start().await;
    assert_eq!(cluster.get("/api").await.expect(200)["versions"], json!(["v1"]));
    let core = cluster.get("/api/v1").await.expect(200);
    let names: Vec<&str> =
        core["resources"].as_array().expect("rows").iter().filter_map(|row| row["name"].as_str()).collect();
    assert!(names.contains(&"pods/exec") && names.contains(&"nodes/status"), "{names:?}");
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let answer = cluster.get_as("/apis", accept).await;
    let etag = answer.headers["etag"].to_str().expect("text").to_owned();
    assert_eq!(answer.expect(200)["kind"], "APIGroupDiscoveryList");
    let headers = [("accept", accept), ("if-none-match", etag.as_str())];
    let answer = super::send(&cluster.admin, "GET", "/apis", &headers, "".into()).await;
    assert_eq!(answer.code.as_u16(), 304);
}
