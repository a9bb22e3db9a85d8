use super::super::topology::Place;
use super::*;
use crate::testing;

/// Eight CPUs on four cores; CPU n and n + 4 share one.
fn topology() -> Topology {
    Topology::new((0..8).map(|cpu| (cpu, Place { core: cpu % 4, socket: 0, numa_node: 0 })))
}

fn policy(reserved: &str, options: &str) -> StaticPolicy {
    StaticPolicy::new(topology(), reserved.parse().unwrap(), options.parse().unwrap())
}

/// A Guaranteed Pod of containers `name kind cpu`, where `kind` is `init`, `sidecar` or `app`.
fn guaranteed(uid: &str, containers: &str) -> Pod {
    let list = |wanted: fn(&str) -> bool| -> Vec<String> {
        let all = containers.split(',').map(|one| one.split_whitespace().collect::<Vec<_>>());
        all.filter(|one| wanted(one[1]))
            .map(|one| {
                let restart = if one[1] == "sidecar" { ", restartPolicy: Always" } else { "" };
                let amounts = format!("{{cpu: {}, memory: 1Gi}}", one[2]);
                format!(
                    "{{name: {}, image: i{restart}, resources: {{requests: {amounts}, limits: {amounts}}}}}",
                    one[0]
                )
            })
            .collect()
    };
    let (init, app) = (list(|kind| kind != "app"), list(|kind| kind == "app"));
    let mut pod = testing::pod(&format!("{{initContainers: [{}], containers: [{}]}}", init.join(", "), app.join(", ")));
    pod.metadata.uid = Some(uid.to_owned());
    pod
}

/// What everybody shares, then each container's CPUs.
fn shown(assignments: &Assignments) -> String {
    let exclusive = assignments.exclusive.values().flatten().map(|(name, cpus)| format!("; {name} {cpus}"));
    format!("{}{}", assignments.shared, exclusive.collect::<String>())
}

#[test]
fn whole_cpus_of_guaranteed_pods_leave_the_shared_pool() {
    for (reserved, options, containers, expected) in [
        ("0", "", "a app 1", "0-3,5-7; a 4"),
        ("0", "", "a app 2", "0,2-4,6-7; a 1,5"),
        ("0", "", "a app 1500m", "0-7"),
        ("0", "", "a app 1500m, b app 1", "0-3,5-7; b 4"),
        ("0", "", "a init 2, b app 2", "0,2-4,6-7; a 1,5; b 1,5"),
        ("0", "", "a init 1, b init 2, c app 3", "0,2-3,6-7; a 4; b 1,5; c 1,4-5"),
        ("0", "", "a init 2, b app 1, c app 1", "0,2-3,6-7; a 1,5; b 4; c 1"),
        ("0", "", "a sidecar 1, b app 1", "0,2-3,5-7; a 4; b 1"),
        ("0", "", "a init 4, b sidecar 2, c app 2", "0,3-4,7; a 1-2,5-6; b 1,5; c 2,6"),
        ("0,4", "full-pcpus-only=true", "a app 4", "0,3-4,7; a 1-2,5-6"),
        ("0,4", "full-pcpus-only=true", "a init 6, b app 6", "0,4; a 1-3,5-7; b 1-3,5-7"),
        ("0", "strict-cpu-reservation=true", "a app 1", "1-3,5-7; a 4"),
    ] {
        let policy = policy(reserved, options);
        let mut assignments = policy.begin(None).unwrap();
        let pod = guaranteed("u", containers);
        policy.allocate(&mut assignments, &pod).unwrap();
        assert_eq!(shown(&assignments), expected, "{containers} beside {reserved} {options}");
        assert_eq!(policy.allocate(&mut assignments, &pod), Ok(false), "what a Pod has it keeps");
        assignments.retain(|_| false);
        assert_eq!(assignments, policy.begin(None).unwrap(), "everything comes back");
    }
}

#[test]
fn others_share() {
    let policy = policy("0", "");
    let mut assignments = policy.begin(None).unwrap();
    for spec in [
        "containers: [{name: a, image: i, resources: {requests: {cpu: 1}}}]",
        "{resources: {limits: {cpu: 2, memory: 1Gi}}, containers: [{name: a, image: i, resources: {limits: {cpu: 1, \
         memory: 1Gi}}}]}",
    ] {
        assert_eq!(policy.allocate(&mut assignments, &testing::pod(spec)), Ok(false), "{spec}");
    }
    let mut both = assignments.clone();
    policy.allocate(&mut both, &guaranteed("u1", "a app 1, b app 1")).unwrap();
    policy.allocate(&mut both, &guaranteed("u2", "c app 2")).unwrap();
    assert_eq!(shown(&both), "0,3,5,7; a 4; b 1; c 2,6");
    assert_eq!(both.of(&Uid::new("u1"), "x").to_string(), "0,3,5,7");
    both.retain(|uid| uid.as_str() == "u2");
    assert_eq!(shown(&both), "0-1,3-5,7; c 2,6");
}

#[test]
fn who_cannot_have_cpus_is_told_why_and_gets_none() {
    for (reserved, options, containers, problem) in [
        ("0", "", "a app 3, b app 5", "not enough cpus available to satisfy request: requested=5, available=4"),
        (
            "0",
            "full-pcpus-only=true",
            "a app 1",
            "SMT Alignment Error: requested 1 cpus not multiple cpus per core = 2",
        ),
        (
            "0-1",
            "full-pcpus-only=true",
            "a app 6",
            "SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 4, requested CPUs = 6, CPUs \
             per core = 2",
        ),
    ] {
        let policy = policy(reserved, options);
        let mut assignments = policy.begin(None).unwrap();
        let error = policy.allocate(&mut assignments, &guaranteed("u", containers)).unwrap_err();
        assert_eq!(error.to_string(), problem);
        assert_eq!(assignments, policy.begin(None).unwrap());
    }
}

#[test]
fn written_assignments_have_to_fit_the_machine() {
    let written = |shared: &str, exclusive: &str| {
        let mut assignments = Assignments { shared: shared.parse().unwrap(), ..Assignments::default() };
        if !exclusive.is_empty() {
            let cpus = BTreeMap::from([("a".to_owned(), exclusive.parse().unwrap())]);
            assignments.exclusive.insert(Uid::new("u"), cpus);
        }
        assignments
    };
    let strict = "strict-cpu-reservation=true";
    let fits = written("0-5", "6-7");
    assert_eq!(policy("0", "").begin(Some(fits.clone())), Ok(fits));
    for (options, shared, exclusive, problem) in [
        ("", "", "1", "default cpuset cannot be empty"),
        ("", "1-7", "", "not all reserved cpus: \"0\" are present in defaultCpuSet: \"1-7\""),
        (strict, "0-7", "", "some of strictly reserved cpus: \"0\" are present in defaultCpuSet: \"0-7\""),
        ("", "0-7", "2", "pod: u, container: a cpuset: \"2\" overlaps with default cpuset \"0-7\""),
        ("", "0-5", "6", "current set of available CPUs \"0-7\" doesn't match with CPUs in state \"0-6\""),
        (strict, "1-5", "6", "current set of available CPUs \"1-7\" doesn't match with CPUs in state \"1-6\""),
    ] {
        let outcome = policy("0", options).begin(Some(written(shared, exclusive)));
        assert_eq!(outcome.unwrap_err().to_string(), problem);
    }
}
