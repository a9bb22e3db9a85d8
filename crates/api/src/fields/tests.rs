use super::*;

#[test]
fn selects_by_equality_and_inequality() {
    let selector = Selector::parse("status.phase!=Running,metadata.name==a,spec.nodeName=").unwrap();
    let pod = |phase| {
        move |field: &str| match field {
            "metadata.name" => "a",
            "status.phase" => phase,
            _ => "",
        }
    };
    assert!(selector.matches(pod("Pending")));
    assert!(!selector.matches(pod("Running")));
    assert_eq!(selector.exact("metadata.name"), Some("a"));
    assert_eq!(selector.exact("status.phase"), None);
    assert_eq!(selector.to_string(), "metadata.name=a,spec.nodeName=,status.phase!=Running");
}

#[test]
fn the_empty_selector_selects_everything() {
    assert!(Selector::parse("").unwrap().is_empty());
    assert!(Selector::parse(",").unwrap().matches(|_| ""));
}

#[test]
fn refuses_what_is_no_comparison() {
    let error = Selector::parse("a=b,c").unwrap_err();
    assert_eq!(error.to_string(), "invalid selector: 'a=b,c'; can't understand 'c'");
    assert!(Selector::parse("a=b=c").is_err());
}
