use super::*;
use crate::field::Path;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn text_selectors_match_labels() {
    let labels = labels(&[("app", "web"), ("tier", "3"), ("in", "x")]);
    for (selector, selected) in [
        ("", true),
        ("app=web", true),
        ("app==web,tier!=4", true),
        ("app!=web", false),
        ("nope!=x", true),
        ("app in (web, db)", true),
        ("app notin (web)", false),
        ("nope notin (web)", true),
        ("app", true),
        ("!app", false),
        (" ! nope ", true),
        ("tier>2,tier<4", true),
        ("tier>3", false),
        ("app>1", false),
        ("in in (x)", true),
        ("app in (in,web)", true),
        ("nope=", false),
        ("app in (,web)", true),
        ("app in ()", false),
    ] {
        assert_eq!(Selector::parse(selector).unwrap().matches(Some(&labels)), selected, "{selector}");
    }
    assert!(Selector::parse("!app").unwrap().matches(None));
}

#[test]
fn selectors_print_sorted() {
    let selector = Selector::parse("z, b notin (y,x),!a,c=1,d==2,e!=3,f>4").unwrap();
    assert_eq!(selector.to_string(), "!a,b notin (x,y),c=1,d==2,e!=3,f>4,z");
    assert_eq!(Selector::parse("x in (foo,,baz)").unwrap().to_string(), "x in (,baz,foo)");
}

#[test]
fn malformed_selectors_are_explained_as_upstream_does() {
    for (selector, message) in [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("bad key=x", "unable to parse requirement: found 'key', expected: in, notin, =, ==, !=, gt, lt"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        (",,", "found ',', expected: !, identifier, or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
    ] {
        assert_eq!(Selector::parse(selector).unwrap_err().to_string(), message, "{selector}");
    }
    let value = Selector::parse("a=bad!").unwrap_err().to_string();
    assert!(value.starts_with("found '!', expected"), "{value}");
    let value = Selector::parse("a=-b").unwrap_err().to_string();
    assert!(
        value.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label"),
        "{value}"
    );
    let key = Selector::parse("-a=b").unwrap_err().to_string();
    assert!(key.starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part must"), "{key}");
}

fn selector(value: serde_json::Value) -> LabelSelector {
    serde_json::from_value(value).unwrap()
}

#[test]
fn object_selectors_match_labels() {
    let web = labels(&[("app", "web")]);
    let expressions = selector(serde_json::json!({
        "matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "DoesNotExist"}],
    }));
    assert!(Selector::from_label_selector(Some(&expressions)).unwrap().matches(Some(&web)));
    assert!(Selector::from_label_selector(Some(&LabelSelector::default())).unwrap().matches(None));
    assert!(!Selector::from_label_selector(None).unwrap().matches(Some(&web)));
    let odd = selector(serde_json::json!({"matchExpressions": [{"key": "x", "operator": "Odd"}]}));
    let error = Selector::from_label_selector(Some(&odd)).unwrap_err();
    assert_eq!(error.to_string(), "\"Odd\" is not a valid label selector operator");
}

#[test]
fn object_selectors_are_validated() {
    let bad = selector(serde_json::json!({"matchExpressions": [
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["x"]},
        {"key": "a b", "operator": "Odd", "values": ["!"]},
    ]}));
    let errors = validate_label_selector(Some(&bad), SelectorRules::Strict, &Path::new("s"));
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "s.matchExpressions[0].values",
            "s.matchExpressions[1].values",
            "s.matchExpressions[2].operator",
            "s.matchExpressions[2].key",
            "s.matchExpressions[2].values[0]",
        ]
    );
}
