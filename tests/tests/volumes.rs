//! Volumes: what Pods see of objects, of the node and of PersistentVolumes.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tests::{Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);
/// How soon a change of an object must be in the container.
const REFRESH_LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cases = cases![
        changes_of_config_maps_and_secrets_arrive_at_once,
        fields_of_the_pod_arrive_at_once,
        a_missing_object_is_named_and_awaited,
        optional_objects_may_come_later,
        the_last_content_stays_when_the_object_goes,
        the_default_class_makes_a_directory_where_the_pod_goes,
        volumes_and_claims_find_each_other,
        claims_stay_while_pods_use_them_and_grow,
        ephemeral_claims_go_with_their_pod,
        claims_that_cannot_be_had_say_why,
        trust_bundles_are_shown_by_name_and_by_signer,
        what_nobody_can_recycle_has_failed,
        a_pod_bound_by_hand_starts_when_its_claim_is_bound,
    ];
    suite::run(|| Cluster::start(options()), cases, Cluster::diagnose)
}

/// ClusterTrustBundles are not served unless asked for.
fn options() -> Options {
    let bundles = "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true";
    Options { flags: vec![bundles.to_owned()], ..Options::default() }
}

/// A Pod whose one container mounts these volumes and sleeps; `volumes` and `mounts` are flow sequences.
fn sleeper(name: &str, volumes: &str, mounts: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{color: red}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: app\n    image: busybox\n    \
         imagePullPolicy: IfNotPresent\n    command: [sleep, inf]\n    volumeMounts: {mounts}\n  volumes: {volumes}\n"
    )
}

fn shell(kubectl: &Kubectl, pod: &str, script: &str) -> Result<String> {
    kubectl.ok(&["exec", pod, "--", "sh", "-c", script])
}

/// The directory of one of a Pod's volumes on the host.
fn volume_dir(cluster: &Cluster, kubectl: &Kubectl, pod: &str, plugin: &str, volume: &str) -> Result<PathBuf> {
    let uid = kubectl.text(&format!("pod/{pod}"), "/metadata/uid")?;
    let volumes = cluster.data_dir().join("kubelet/pods").join(uid).join("volumes");
    Ok(volumes.join(format!("kubernetes.io~{plugin}")).join(volume))
}

/// Waits until a file has this content; how long that took.
fn arrives(file: &PathBuf, content: &str, limit: Duration) -> Result<Duration> {
    let start = Instant::now();
    while fs::read_to_string(file).unwrap_or_default() != content {
        if start.elapsed() > limit {
            bail!("{} is {:?} after {limit:?}, not {content:?}", file.display(), fs::read_to_string(file));
        }
        sleep(Duration::from_millis(5));
    }
    Ok(start.elapsed())
}

/// Waits for an Event about a Pod whose text contains `text`.
fn event(kubectl: &Kubectl, object: &str, text: &str) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let events = kubectl.ok(&["events", "--for", object])?;
        if events.contains(text) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no event {text:?} about {object}:\n{events}");
        sleep(Duration::from_millis(100));
    }
}

fn changes_of_config_maps_and_secrets_arrive_at_once(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("refresh")?;
    kubectl.ok(&["create", "configmap", "c", "--from-literal=color=red", "--from-literal=old=x"])?;
    kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=key=one"])?;
    let volumes = "[{name: c, configMap: {name: c}}, {name: s, secret: {secretName: s, defaultMode: 0400}}, \
         {name: p, projected: {sources: [{configMap: {name: c, items: [{key: color, path: deep/color, mode: 0440}]}}, \
         {secret: {name: s}}]}}]";
    let mounts = "[{name: c, mountPath: /c}, {name: s, mountPath: /s}, {name: p, mountPath: /p}]";
    kubectl.apply(&sleeper("refresh", volumes, mounts))?;
    kubectl.wait_ready("refresh")?;
    let seen = shell(&kubectl, "refresh", "cat /c/color /s/key /p/deep/color; stat -Lc %a /s/key /p/deep/color")?;
    ensure!(seen == "redonered400\n440\n", "{seen}");
    let config_map = volume_dir(cluster, &kubectl, "refresh", "configmap", "c")?;
    let projected = volume_dir(cluster, &kubectl, "refresh", "projected", "p")?;
    let secret = volume_dir(cluster, &kubectl, "refresh", "secret", "s")?;
    let token_of =
        |kubectl: &Kubectl| shell(kubectl, "refresh", "cat /var/run/secrets/kubernetes.io/serviceaccount/token");
    let token = token_of(&kubectl)?;
    kubectl.ok(&["patch", "configmap", "c", "-p", r#"{"data":{"color":"blue","old":null,"new":"y"}}"#])?;
    let took = arrives(&config_map.join("color"), "blue", REFRESH_LIMIT)?;
    arrives(&projected.join("deep/color"), "blue", REFRESH_LIMIT)?;
    kubectl.ok(&["patch", "secret", "s", "-p", r#"{"stringData":{"key":"two"}}"#])?;
    let secret_took = arrives(&secret.join("key"), "two", REFRESH_LIMIT)?;
    println!("seen {took:?} (ConfigMap) and {secret_took:?} (Secret) after kubectl patch");
    let seen = shell(&kubectl, "refresh", "cat /c/color /s/key /p/deep/color; ls /c; stat -Lc %a /s/key")?;
    ensure!(seen == "bluetwobluecolor\nnew\n400\n", "{seen}");
    ensure!(token_of(&kubectl)? == token, "a new token for a changed ConfigMap");
    Ok(())
}

fn fields_of_the_pod_arrive_at_once(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("downward")?;
    let volumes = "[{name: d, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]";
    kubectl.apply(&sleeper("downward", volumes, "[{name: d, mountPath: /d}]"))?;
    kubectl.wait_ready("downward")?;
    ensure!(shell(&kubectl, "downward", "cat /d/labels")? == "color=\"red\"");
    kubectl.ok(&["label", "pod", "downward", "--overwrite", "color=green"])?;
    let labels = volume_dir(cluster, &kubectl, "downward", "downward-api", "d")?.join("labels");
    arrives(&labels, "color=\"green\"", REFRESH_LIMIT)?;
    ensure!(shell(&kubectl, "downward", "cat /d/labels")? == "color=\"green\"");
    Ok(())
}

fn a_missing_object_is_named_and_awaited(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("missing")?;
    let volumes = "[{name: x, secret: {secretName: \"y\"}}]";
    kubectl.apply(&sleeper("missing", volumes, "[{name: x, mountPath: /x}]"))?;
    event(&kubectl, "pod/missing", "MountVolume.SetUp failed for volume \"x\" : secret \"y\" not found")?;
    let reason = kubectl.text("pod/missing", "/status/containerStatuses/0/state/waiting/reason")?;
    ensure!(reason == "ContainerCreating", "{reason}");
    kubectl.ok(&["create", "secret", "generic", "y", "--from-literal=key=here"])?;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/missing", "--timeout=5s"])?;
    ensure!(shell(&kubectl, "missing", "cat /x/key")? == "here");
    Ok(())
}

fn optional_objects_may_come_later(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("optional")?;
    let volumes = "[{name: o, configMap: {name: later, optional: true}}]";
    kubectl.apply(&sleeper("optional", volumes, "[{name: o, mountPath: /o}]"))?;
    kubectl.wait_ready("optional")?;
    ensure!(shell(&kubectl, "optional", "ls /o")?.is_empty());
    kubectl.ok(&["create", "configmap", "later", "--from-literal=key=value"])?;
    let file = volume_dir(cluster, &kubectl, "optional", "configmap", "o")?.join("key");
    arrives(&file, "value", REFRESH_LIMIT)?;
    kubectl.ok(&["delete", "configmap", "later"])?;
    let deadline = Instant::now() + SOON;
    while file.exists() {
        ensure!(Instant::now() < deadline, "the key stays");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn the_last_content_stays_when_the_object_goes(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("gone")?;
    kubectl.ok(&["create", "configmap", "c", "--from-literal=key=value"])?;
    kubectl.apply(&sleeper("gone", "[{name: c, configMap: {name: c}}]", "[{name: c, mountPath: /c}]"))?;
    kubectl.wait_ready("gone")?;
    kubectl.ok(&["delete", "configmap", "c"])?;
    event(&kubectl, "pod/gone", "configmap \"c\" not found")?;
    ensure!(shell(&kubectl, "gone", "cat /c/key")? == "value");
    kubectl.ok(&["create", "configmap", "c", "--from-literal=key=again"])?;
    let file = volume_dir(cluster, &kubectl, "gone", "configmap", "c")?.join("key");
    arrives(&file, "again", REFRESH_LIMIT)?;
    Ok(())
}

/// A claim of some class and size; `more` is further spec.
fn claim(name: &str, size: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec:\n  accessModes: \
         [ReadWriteOnce]\n  resources: {{requests: {{storage: {size}}}}}\n{more}"
    )
}

fn uses_claim(name: &str, claim: &str) -> String {
    let volumes = format!("[{{name: v, persistentVolumeClaim: {{claimName: {claim}}}}}]");
    sleeper(name, &volumes, "[{name: v, mountPath: /v}]")
}

fn gone(kubectl: &Kubectl, object: &str) -> Result<()> {
    kubectl.ok(&["wait", "--for=delete", object, "--timeout=30s"]).map(drop)
}

fn the_default_class_makes_a_directory_where_the_pod_goes(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("default-class")?;
    let class = kubectl.ok(&["get", "sc", "--no-headers"])?;
    ensure!(class.starts_with("local-path (default)"), "{class}");
    kubectl.apply(&claim("data", "1Gi", ""))?;
    event(&kubectl, "pvc/data", "waiting for first consumer to be created before binding")?;
    ensure!(kubectl.text("pvc/data", "/status/phase")? == "Pending");
    let start = Instant::now();
    kubectl.apply(&uses_claim("first", "data"))?;
    kubectl.wait_ready("first")?;
    println!("a Pod with a claim was ready after {:?}", start.elapsed());
    let listed = kubectl.ok(&["get", "pvc", "data", "--no-headers"])?;
    let volume = kubectl.text("pvc/data", "/spec/volumeName")?;
    let columns: Vec<&str> = listed.split_whitespace().take(6).collect();
    ensure!(columns == ["data", "Bound", &volume, "1Gi", "RWO", "local-path"], "{listed}");
    event(&kubectl, "pvc/data", "Successfully provisioned volume")?;
    shell(&kubectl, "first", "echo kept > /v/file")?;
    let directory = PathBuf::from(kubectl.text(&format!("pv/{volume}"), "/spec/local/path")?);
    ensure!(fs::read_to_string(directory.join("file"))? == "kept\n");
    kubectl.ok(&["delete", "pod", "first"])?;
    kubectl.apply(&uses_claim("second", "data"))?;
    kubectl.wait_ready("second")?;
    ensure!(shell(&kubectl, "second", "cat /v/file")? == "kept\n");
    kubectl.ok(&["delete", "pod", "second"])?;
    kubectl.ok(&["delete", "pvc", "data"])?;
    gone(&kubectl, &format!("pv/{volume}"))?;
    ensure!(!directory.exists(), "{} is left", directory.display());
    Ok(())
}

fn volumes_and_claims_find_each_other(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("manual")?;
    let root = cluster.scratch("manual-volumes")?;
    for (name, size) in [("small", "1Gi"), ("fits", "3Gi"), ("large", "9Gi")] {
        let path = root.join(name);
        fs::create_dir_all(&path)?;
        kubectl.apply(&format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec:\n  capacity: {{storage: \
             {size}}}\n  accessModes: [ReadWriteOnce]\n  storageClassName: manual\n  hostPath: {{path: {}}}\n",
            path.display()
        ))?;
    }
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Available", "pv/small", "pv/fits", "pv/large"])?;
    kubectl.apply(&claim("two", "2Gi", "  storageClassName: manual\n"))?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Bound", "pvc/two", "--timeout=30s"])?;
    ensure!(kubectl.text("pvc/two", "/spec/volumeName")? == "fits");
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Bound", "pv/fits", "--timeout=30s"])?;
    let listed = kubectl.ok(&["get", "pv", "fits", "--no-headers"])?;
    let columns: Vec<&str> = listed.split_whitespace().take(7).collect();
    ensure!(columns == ["fits", "3Gi", "RWO", "Retain", "Bound", "manual/two", "manual"], "{listed}");
    kubectl.apply(&uses_claim("user", "two"))?;
    kubectl.wait_ready("user")?;
    shell(&kubectl, "user", "echo here > /v/file")?;
    ensure!(fs::read_to_string(root.join("fits/file"))? == "here\n");
    kubectl.apply(&claim("named", "1Gi", "  storageClassName: manual\n  volumeName: large\n"))?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Bound", "pvc/named", "--timeout=30s"])?;
    kubectl.ok(&["delete", "pod", "user"])?;
    kubectl.ok(&["delete", "pvc", "two", "named"])?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Released", "pv/fits", "pv/large", "--timeout=30s"])?;
    ensure!(fs::read_to_string(root.join("fits/file"))? == "here\n", "what is retained stays");
    kubectl.ok(&["delete", "pv", "small", "fits", "large"])?;
    Ok(())
}

fn claims_stay_while_pods_use_them_and_grow(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("protected")?;
    kubectl.apply(&claim("data", "1Gi", ""))?;
    kubectl.apply(&uses_claim("user", "data"))?;
    kubectl.wait_ready("user")?;
    let size = r#"{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}"#;
    kubectl.ok(&["patch", "pvc", "data", "-p", size])?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.capacity.storage}=2Gi", "pvc/data", "--timeout=30s"])?;
    let shrink = kubectl.fails(&["patch", "pvc", "data", "-p", &size.replace("2Gi", "1Mi")])?;
    ensure!(shrink.contains("field can not be less than status.capacity"), "{shrink}");
    kubectl.ok(&["delete", "pvc", "data", "--wait=false"])?;
    let listed = kubectl.ok(&["get", "pvc", "data", "--no-headers"])?;
    ensure!(listed.split_whitespace().nth(1) == Some("Terminating"), "{listed}");
    ensure!(shell(&kubectl, "user", "touch /v/file && ls /v")?.contains("file"));
    kubectl.ok(&["delete", "pod", "user"])?;
    gone(&kubectl, "pvc/data")
}

fn ephemeral_claims_go_with_their_pod(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("ephemeral-claims")?;
    let volumes = "[{name: scratch, ephemeral: {volumeClaimTemplate: {metadata: {labels: {of: pod}}, spec: {accessModes: \
         [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}}}]";
    kubectl.apply(&sleeper("owner", volumes, "[{name: scratch, mountPath: /s}]"))?;
    kubectl.wait_ready("owner")?;
    shell(&kubectl, "owner", "echo x > /s/file")?;
    ensure!(kubectl.text("pvc/owner-scratch", "/metadata/labels/of")? == "pod");
    let volume = kubectl.text("pvc/owner-scratch", "/spec/volumeName")?;
    kubectl.ok(&["delete", "pod", "owner"])?;
    gone(&kubectl, "pvc/owner-scratch")?;
    gone(&kubectl, &format!("pv/{volume}"))
}

fn claims_that_cannot_be_had_say_why(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("no-volume")?;
    kubectl.apply(&uses_claim("early", "late"))?;
    event(&kubectl, "pod/early", "persistentvolumeclaim \"late\" not found")?;
    kubectl.apply(&claim("none", "1Gi", "  storageClassName: \"\"\n"))?;
    event(&kubectl, "pvc/none", "no persistent volumes available for this claim and no storage class is set")?;
    kubectl.apply(&uses_claim("stuck", "none"))?;
    event(&kubectl, "pod/stuck", "pod has unbound immediate PersistentVolumeClaims")?;
    kubectl.apply(&claim("unknown", "1Gi", "  storageClassName: nobody\n"))?;
    event(&kubectl, "pvc/unknown", "storageclass.storage.k8s.io \"nobody\" not found")?;
    kubectl.apply(&claim("late", "1Gi", ""))?;
    kubectl.wait_ready("early")?;
    Ok(())
}

/// A bundle with the cluster's own authority in it; each once more than needed.
fn bundle(name: &str, signer: &str, labels: &str, certificate: &str) -> String {
    let indented = certificate.trim_end().replace('\n', "\n    ");
    format!(
        "apiVersion: certificates.k8s.io/v1beta1\nkind: ClusterTrustBundle\nmetadata: {{name: '{name}', labels: \
         {{{labels}}}}}\nspec:\n  signerName: {signer}\n  trustBundle: |\n    {indented}\n"
    )
}

fn trust_bundles_are_shown_by_name_and_by_signer(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("trust-bundles")?;
    let certificate = kubectl.text("configmap/kube-root-ca.crt", "/data/ca.crt")?;
    let signer = "tests.example/signer";
    let (named, of_signer) = ("plain", "tests.example:signer:v1");
    let wrong = kubectl.fails_with_input(&["apply", "-f", "-"], bundle("v1", signer, "", &certificate).as_bytes())?;
    ensure!(wrong.contains("must be named with prefix tests.example:signer:"), "{wrong}");
    let wrong = kubectl.fails_with_input(&["apply", "-f", "-"], bundle(named, "", "", "nothing").as_bytes())?;
    ensure!(wrong.contains("at least one trust anchor must be provided"), "{wrong}");
    let volumes = "[{name: t, projected: {sources: [{clusterTrustBundle: {name: plain, path: named.pem}}, \
         {clusterTrustBundle: {signerName: tests.example/signer, labelSelector: {matchLabels: {live: 'yes'}}, path: \
         signer.pem, optional: true}}]}}]";
    kubectl.apply(&sleeper("shows", volumes, "[{name: t, mountPath: /t}]"))?;
    event(&kubectl, "pod/shows", "clustertrustbundle.certificates.k8s.io \"plain\" not found")?;
    kubectl.apply(&bundle(named, "", "", &format!("# ours\n{certificate}")))?;
    kubectl.wait_ready("shows")?;
    let seen = shell(&kubectl, "shows", "cat /t/named.pem")?;
    ensure!(seen == certificate, "the comment is gone, the certificate is not: {seen}");
    ensure!(shell(&kubectl, "shows", "cat /t/signer.pem")?.is_empty(), "the signer has none yet");
    let file = volume_dir(cluster, &kubectl, "shows", "projected", "t")?.join("signer.pem");
    kubectl.apply(&bundle(of_signer, signer, "live: 'yes'", &certificate))?;
    arrives(&file, &certificate, REFRESH_LIMIT)?;
    kubectl.ok(&["label", "clustertrustbundle", of_signer, "live-"])?;
    arrives(&file, "", REFRESH_LIMIT)?;
    let listed = kubectl.ok(&[
        "get",
        "clustertrustbundles",
        "--no-headers",
        "--field-selector",
        &format!("spec.signerName={signer}"),
    ])?;
    ensure!(listed.split_whitespace().collect::<Vec<_>>() == [of_signer, signer], "{listed}");
    kubectl.ok(&["delete", "clustertrustbundles", named, of_signer]).map(drop)
}

fn what_nobody_can_recycle_has_failed(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("recycled")?;
    let path = cluster.scratch("recycled")?;
    fs::write(path.join("file"), "here")?;
    let volume = format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: recycled}}\nspec: {{capacity: {{storage: 1Gi}}, \
         accessModes: [ReadWriteOnce], storageClassName: recycled, persistentVolumeReclaimPolicy: Recycle, local: {{path: \
         {}}}, nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, \
         operator: Exists}}]}}]}}}}}}\n",
        path.display()
    );
    let applied = kubectl.run_with_input(&["apply", "-f", "-"], volume.as_bytes())?;
    ensure!(applied.stderr.contains("The Recycle reclaim policy is deprecated."), "{applied:?}");
    kubectl.apply(&claim("data", "1Gi", "  storageClassName: recycled\n"))?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Bound", "pv/recycled", "--timeout=30s"])?;
    kubectl.ok(&["delete", "pvc", "data"])?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Failed", "pv/recycled", "--timeout=30s"])?;
    let message = "No recycler plugin found for the volume!";
    ensure!(kubectl.text("pv/recycled", "/status/message")? == message);
    event(&cluster.kubectl(), "pv/recycled", message)?;
    ensure!(kubectl.ok(&["describe", "pv", "recycled"])?.contains("VolumeFailedRecycle"));
    ensure!(fs::read_to_string(path.join("file"))? == "here", "nothing is taken away");
    kubectl.ok(&["delete", "pv", "recycled"]).map(drop)
}

fn a_pod_bound_by_hand_starts_when_its_claim_is_bound(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("by-hand")?;
    kubectl.apply(&claim("late", "1Gi", "  storageClassName: by-hand\n"))?;
    let bound = uses_claim("waiter", "late").replacen("spec:", "spec:\n  nodeName: node-1", 1);
    kubectl.apply(&bound)?;
    event(&kubectl, "pod/waiter", "PVC is not bound")?;
    let path = cluster.scratch("by-hand")?;
    kubectl.apply(&format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: by-hand}}\nspec: {{capacity: {{storage: 1Gi}}, \
         accessModes: [ReadWriteOnce], storageClassName: by-hand, hostPath: {{path: {}}}}}\n",
        path.display()
    ))?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Bound", "pvc/late", "--timeout=30s"])?;
    kubectl.wait_ready("waiter")?;
    kubectl.ok(&["delete", "pod", "waiter"])?;
    kubectl.ok(&["delete", "pvc", "late"])?;
    kubectl.ok(&["delete", "pv", "by-hand"]).map(drop)
}
