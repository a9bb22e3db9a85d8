use super::*;

fn image(id: &str, tags: &[&str], digests: &[&str]) -> ImageRecord {
    ImageRecord {
        id: Digest::of(id.as_bytes()),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        digests: digests.iter().map(|digest| (*digest).to_owned()).collect(),
        size_bytes: 1,
        layers: vec![Digest::of(b"base"), Digest::of(id.as_bytes())],
        config: ImageConfig::default(),
        unsynced_in_boot: None,
    }
}

#[test]
fn moved_tag_leaves_the_old_image_with_its_digest() {
    let mut index = Index::default();
    index.add(image("one", &["r/app:v1"], &["r/app@one"]));
    index.add(image("two", &["r/app:v1"], &["r/app@two"]));
    assert_eq!(index.find("r/app:v1").expect("tagged").id, Digest::of(b"two"));
    assert_eq!(index.find("r/app@one").expect("still there").id, Digest::of(b"one"));
    assert_eq!(index.images().count(), 2);
}

#[test]
fn second_name_joins_the_first() {
    let mut index = Index::default();
    index.add(image("one", &["r/app:v1"], &["r/app@one"]));
    index.add(image("one", &["r/app:v2"], &[]));
    let both = index.find("r/app:v1").expect("kept");
    assert_eq!(both.tags.len(), 2);
    assert!(index.remove_name("r/app:v1"));
    assert!(!index.find("r/app:v2").expect("has another tag").is_removed());
    assert!(index.remove_name("r/app:v2"));
    assert!(index.find("r/app@one").is_none(), "the last tag takes the digest with it");
    assert!(!index.remove_name("r/app:v2"));
}

#[test]
fn removed_image_lasts_as_long_as_its_containers() {
    let mut index = Index::default();
    index.add(image("one", &["r/app:v1"], &[]));
    let id = Digest::of(b"one");
    assert!(index.remove_image(&id));
    assert!(!index.remove_image(&id));
    assert_eq!(index.images().count(), 0);
    assert!(!index.forget_removed(&BTreeSet::from([id.clone()])));
    assert_eq!(index.layers().len(), 2);
    assert!(index.forget_removed(&BTreeSet::new()));
    assert!(index.get(&id).is_none() && index.layers().is_empty());
}

#[test]
fn unsynced_image_does_not_survive_a_reboot() {
    let mut index = Index::default();
    let unsynced = |id, boot: &str| ImageRecord { unsynced_in_boot: Some(boot.to_owned()), ..image(id, &[id], &[]) };
    index.add(unsynced("one", "boot 1"));
    index.add(unsynced("two", "boot 1"));
    index.mark_synced(&[Digest::of(b"one")]);
    index.forget_unsynced("boot 2");
    assert!(index.find("one").is_some() && index.find("two").is_none());
    assert!(index.unsynced().is_empty());
}

#[test]
fn refuses_a_later_format() {
    assert_eq!(serde_json::from_str::<Index>(r#"{"format":1,"images":{}}"#).expect("known"), Index::default());
    assert!(serde_json::from_str::<Index>(r#"{"format":2,"images":{}}"#).is_err());
}
