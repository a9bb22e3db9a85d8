use std::collections::HashSet;

use k8s_openapi::api::core::v1::Pod;

use super::{Ids, Inventory, Shortage, Stock, devices_of};
use crate::devices::messages::ContainerAllocateResponse;
use crate::pod;
use crate::testing;

const THING: &str = "example.com/thing";

fn ids(text: &str) -> Ids {
    text.split_whitespace().map(str::to_owned).collect()
}

fn inventory(healthy: &str, unhealthy: &str) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.set(THING, Stock { healthy: ids(healthy), unhealthy: ids(unhealthy) });
    inventory
}

/// A Pod whose container `app` asks for so many.
fn asks(uid: &str, things: usize) -> Pod {
    let limits = format!("{{limits: {{'{THING}': {things}}}}}");
    let mut pod = testing::pod(&format!("containers: [{{name: app, image: i, resources: {limits}}}]"));
    pod.metadata.uid = Some(uid.to_owned());
    pod
}

/// A Pod with containers `name kind things`, one per line.
fn complex(containers: &str) -> Pod {
    let (mut init, mut app) = (String::new(), String::new());
    for line in containers.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, kind, things] = words[..] else { panic!("{line}") };
        let (list, more) = match kind {
            "init" => (&mut init, ""),
            "sidecar" => (&mut init, ", restartPolicy: Always"),
            _ => (&mut app, ""),
        };
        *list += &format!("\n- {{name: {name}, image: i{more}, resources: {{limits: {{'{THING}': {things}}}}}}}");
    }
    testing::pod(&format!("initContainers: {init}\ncontainers: {app}"))
}

#[test]
fn containers_take_over_what_init_containers_had() {
    for (containers, needed) in [
        ("a app 2\nb app 1", 3),
        ("i init 2\na app 1", 2),
        ("i init 1\na app 2\nb app 1", 3),
        ("i init 2\nj init 1\na app 2", 2),
        ("s sidecar 1\na app 1", 2),
        ("i init 1\ns sidecar 1\na app 1", 2),
        ("s sidecar 1\ni init 1\na app 1", 2),
    ] {
        let pod = complex(containers);
        assert_eq!(devices_of(&pod, THING), needed, "{containers}");
        let mut inventory = inventory("1 2 3 4", "");
        inventory.reserve(&pod).unwrap();
        for (container, resource) in inventory.untold(&pod) {
            inventory.take(&pod, &container, &resource, &[]).unwrap();
        }
        assert_eq!(inventory.devices(&pod::uid(&pod), THING).len(), needed, "{containers}");
    }
}

#[test]
fn what_is_promised_is_nobody_elses() {
    let mut inventory = inventory("1 2", "3");
    inventory.reserve(&asks("a", 1)).unwrap();
    let short = |requested, available| Shortage::Unavailable { resource: THING.to_owned(), requested, available };
    assert_eq!(inventory.reserve(&asks("b", 2)), Err(short(2, 1)));
    inventory.reserve(&asks("b", 1)).unwrap();
    assert_eq!(inventory.reserve(&asks("c", 1)), Err(short(1, 0)));
    assert_eq!(inventory.take(&asks("c", 1), "app", THING, &[]), Err(short(1, 0)));
    assert_eq!(inventory.take(&asks("b", 1), "app", THING, &[]), Ok(ids("1")));
    // Who asks again has what it has.
    inventory.reserve(&asks("b", 1)).unwrap();
    assert_eq!(inventory.take(&asks("a", 1), "app", THING, &[]), Ok(ids("2")));
    inventory.release(&pod::uid(&asks("b", 1)));
    inventory.reserve(&asks("c", 1)).unwrap();
    assert_eq!(inventory.take(&asks("c", 1), "app", THING, &[]), Ok(ids("1")));
}

#[test]
fn without_a_healthy_device_nobody_is_let_in() {
    let mut inventory = inventory("1", "");
    inventory.lose(THING);
    assert_eq!(inventory.reserve(&asks("a", 1)), Err(Shortage::NoneHealthy(THING.to_owned())));
    assert_eq!(inventory.reserve(&asks("a", 0)), Ok(()));
    // What no plugin ever spoke of is somebody else's business.
    assert_eq!(Inventory::default().reserve(&asks("a", 1)), Ok(()));
}

#[test]
fn the_node_counts_broken_devices_as_capacity_only() {
    let counts = |inventory: &Inventory| {
        let (capacity, allocatable) = inventory.amounts();
        (capacity[THING].value(), allocatable[THING].value())
    };
    let mut inventory = inventory("1 2", "3");
    assert_eq!(counts(&inventory), (3, 2));
    inventory.lose(THING);
    assert_eq!(counts(&inventory), (3, 0));
    inventory.set(THING, Stock::default());
    assert_eq!(counts(&inventory), (0, 0));
}

#[test]
fn preferences_count_as_far_as_devices_are_free() {
    for (reserved, preferred, chosen) in
        [("", "4 3", "3 4"), ("", "4", "1 4"), ("4", "4 3", "1 3"), ("", "9", "1 2"), ("", "4 3 2", "3 4")]
    {
        let mut inventory = inventory("1 2 3 4", "");
        if !reserved.is_empty() {
            inventory.take(&asks("a", 1), "app", THING, &[reserved.to_owned()]).unwrap();
        }
        let preferred: Vec<String> = preferred.split_whitespace().map(str::to_owned).collect();
        let taken = inventory.take(&asks("b", 2), "app", THING, &preferred).unwrap();
        assert_eq!(taken, ids(chosen), "{preferred:?}");
    }
}

#[test]
fn a_plugin_is_told_once() {
    let mut inventory = inventory("1", "");
    let pod = asks("a", 1);
    let untold = vec![("app".to_owned(), THING.to_owned())];
    assert_eq!(inventory.untold(&pod), untold);
    inventory.take(&pod, "app", THING, &[]).unwrap();
    assert_eq!(inventory.untold(&pod), untold);
    inventory.answered(&pod::uid(&pod), "app", THING, ContainerAllocateResponse::default());
    assert_eq!(inventory.untold(&pod), []);
    inventory.retain(&HashSet::new());
    assert_eq!(inventory.untold(&pod), untold);
}
