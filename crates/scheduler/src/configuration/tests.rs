use std::time::Duration;

use super::*;
use crate::framework::PluginName;
use crate::plugins::node_resources_fit::{ResourceWeight, Shape, StrategyType};

fn parse(rest: &str) -> Result<Configuration, String> {
    let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
    Configuration::parse(&format!("{head}{rest}")).map_err(|error| error.to_string())
}

#[test]
fn without_profiles_there_is_the_standard_one() {
    let configuration = parse("leaderElection: {leaderElect: false}\npodMaxBackoffSeconds: 5\n").unwrap();
    let [profile] = configuration.profiles() else { panic!() };
    assert_eq!(profile.scheduler_name, "default-scheduler");
    assert_eq!((profile.filters.len(), profile.scores.len(), profile.preempts), (12, 7, true));
    assert_eq!(configuration.backoff(), Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(5) });
}

#[test]
fn profiles_choose_plugins_and_weights() {
    let configuration = parse(
        "percentageOfNodesToScore: 50
profiles:
- plugins:
    multiPoint:
      disabled: [{name: ImageLocality}, {name: DefaultPreemption}]
    score:
      disabled: [{name: '*'}]
      enabled: [{name: NodeResourcesFit, weight: 7}, {name: TaintToleration}]
    filter:
      disabled: [{name: NodePorts}]
- schedulerName: other
  percentageOfNodesToScore: 100
  plugins:
    multiPoint:
      disabled: [{name: '*'}]
      enabled: [{name: NodeName}]
",
    );
    let configuration = configuration.unwrap();
    let [first, second] = configuration.profiles() else { panic!() };
    assert_eq!(first.scores, [(PluginName::TaintToleration, 1), (PluginName::NodeResourcesFit, 7)]);
    assert_eq!((first.filters.len(), first.filters.contains(&PluginName::NodePorts)), (11, false));
    assert_eq!((first.preempts, first.percentage_of_nodes_to_score), (false, Some(50)));
    assert_eq!((second.scheduler_name.as_str(), second.percentage_of_nodes_to_score), ("other", Some(100)));
    assert_eq!((&*second.filters, second.scores.len(), second.preempts), (&[PluginName::NodeName][..], 0, false));
}

#[test]
fn plugins_are_told_their_arguments() {
    let configuration = parse(
        "profiles:
- pluginConfig:
  - name: NodeResourcesFit
    args:
      apiVersion: kubescheduler.config.k8s.io/v1
      kind: NodeResourcesFitArgs
      ignoredResourceGroups: [example.com]
      scoringStrategy:
        type: RequestedToCapacityRatio
        resources: [{name: nvidia.com/gpu, weight: 3}]
        requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]}
  - name: InterPodAffinity
    args: {hardPodAffinityWeight: 5}
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [batch]}]}]
",
    );
    let configuration = configuration.unwrap();
    let args = &configuration.profiles()[0].args;
    let strategy = &args.node_resources_fit.strategy;
    assert_eq!(strategy.strategy, StrategyType::RequestedToCapacityRatio(Shape(vec![(0, 0), (100, 100)])));
    assert_eq!(strategy.resources, [ResourceWeight { name: "nvidia.com/gpu".into(), weight: 3 }]);
    assert_eq!(args.node_resources_fit.ignored_resource_groups, ["example.com"]);
    assert_eq!(args.inter_pod_affinity.hard_pod_affinity_weight, 5);
    assert!(args.node_affinity.added.as_ref().unwrap().requires_something());
}

#[test]
fn what_cannot_be_is_named() {
    let fit = |strategy: &str| {
        format!("profiles: [{{pluginConfig: [{{name: NodeResourcesFit, args: {{scoringStrategy: {strategy}}}}}]}}]")
    };
    let cases = [
        ("percentageOfNodesToScore: 101".to_owned(), "percentageOfNodesToScore: not in valid range [0-100]"),
        ("podInitialBackoffSeconds: 20".to_owned(), "podMaxBackoffSeconds: must be greater"),
        ("profiles: [{}, {}]".to_owned(), "profiles[1].schedulerName: Duplicate value: \"default-scheduler\""),
        (
            "profiles: [{plugins: {filter: {enabled: [{name: Mine}]}}}]".to_owned(),
            "profiles[0].plugins.filter.enabled[0].name: plugin \"Mine\" does not exist",
        ),
        ("extenders: []".to_owned(), "extenders"),
        (fit("{type: Best}"), "scoringStrategy.type: Unsupported value: \"Best\""),
        (fit("{type: RequestedToCapacityRatio}"), "requestedToCapacityRatio: Required value"),
        (
            fit(
                "{type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 5, score: 1}, {utilization: 5, score: 2}]}}",
            ),
            "shape[1].utilization: values must be sorted",
        ),
        (fit("{type: LeastAllocated, resources: [{name: cpu, weight: 101}]}"), "resources[0].weight: resource weight"),
    ];
    for (text, expected) in cases {
        let error = parse(&text).err().unwrap_or_default();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(Configuration::parse("apiVersion: v1\nkind: Pod\n").is_err());
}
