//! What a LimitRange demands, in upstream's words.

use std::collections::BTreeMap;

use api::core::v1::limit_range::{TYPE_CLAIM, TYPE_CONTAINER, TYPE_POD};
use api::core::v1::pod::resources::{Amounts, pod_limits_without_overhead, pod_requests_without_overhead};
use api::core::v1::resource_list::ResourceList;
use api::k8s_openapi::api::core::v1::{Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod};
use api::quantity::Quantity;

/// Quantities beyond this many units are compared in whole units.
const MAX_PRECISE: i64 = i64::MAX / 1000;

/// What a Pod breaks.
pub fn pod_problems(range: &LimitRange, pod: &Pod) -> Vec<String> {
    let mut problems = Vec::new();
    let Some(spec) = &pod.spec else { return problems };
    for item in range.spec.iter().flat_map(|spec| &spec.limits) {
        match item.type_.as_str() {
            TYPE_CONTAINER => {
                let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
                containers.for_each(|container| Asked::by_container(container).check(item, &mut problems));
            }
            TYPE_POD => {
                let asked =
                    Asked { requests: pod_requests_without_overhead(spec), limits: pod_limits_without_overhead(spec) };
                asked.check(item, &mut problems);
            }
            _ => {}
        }
    }
    problems
}

/// What a claim breaks. Only its request counts.
pub fn claim_problems(range: &LimitRange, claim: &PersistentVolumeClaim) -> Vec<String> {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = amounts(resources.and_then(|resources| resources.requests.as_ref()));
    let asked = Asked { requests, limits: BTreeMap::new() };
    let items = range.spec.iter().flat_map(|spec| &spec.limits).filter(|item| item.type_ == TYPE_CLAIM);
    let mut problems = Vec::new();
    for item in items {
        problems.extend(bounds(item.min.as_ref()).filter_map(|bound| asked.below_minimum(item, bound)));
        problems.extend(bounds(item.max.as_ref()).filter_map(|bound| asked.request_above_maximum(item, bound)));
    }
    problems
}

fn amounts(list: Option<&ResourceList>) -> Amounts<'_> {
    list.into_iter().flatten().map(|(name, quantity)| (name.as_str(), Quantity::of(quantity))).collect()
}

/// A resource and the bound a LimitRange gives it.
type Bound<'a> = (&'a str, Quantity);

fn bounds(list: Option<&ResourceList>) -> impl Iterator<Item = Bound<'_>> {
    list.into_iter().flatten().map(|(name, quantity)| (name.as_str(), Quantity::of(quantity)))
}

/// What is requested and limited.
struct Asked<'a> {
    requests: Amounts<'a>,
    limits: Amounts<'a>,
}

impl<'a> Asked<'a> {
    fn by_container(container: &'a Container) -> Self {
        let resources = container.resources.as_ref();
        Self {
            requests: amounts(resources.and_then(|resources| resources.requests.as_ref())),
            limits: amounts(resources.and_then(|resources| resources.limits.as_ref())),
        }
    }

    fn check(&self, item: &LimitRangeItem, problems: &mut Vec<String>) {
        problems.extend(bounds(item.min.as_ref()).filter_map(|bound| self.below_minimum(item, bound)));
        problems.extend(bounds(item.max.as_ref()).filter_map(|bound| self.above_maximum(item, bound)));
        let ratios = bounds(item.max_limit_request_ratio.as_ref());
        problems.extend(ratios.filter_map(|bound| self.above_ratio(item, bound)));
    }

    fn below_minimum(&self, item: &LimitRangeItem, (name, least): Bound<'_>) -> Option<String> {
        let rule = format!("minimum {name} usage per {} is {least}", item.type_);
        match (self.requests.get(name), self.limits.get(name)) {
            (None, _) => Some(format!("{rule}.  No request is specified")),
            (Some(request), _) if *request < least => Some(format!("{rule}, but request is {request}")),
            (_, Some(limit)) if *limit < least => Some(format!("{rule}, but limit is {limit}")),
            _ => None,
        }
    }

    fn above_maximum(&self, item: &LimitRangeItem, (name, most): Bound<'_>) -> Option<String> {
        let rule = format!("maximum {name} usage per {} is {most}", item.type_);
        match (self.limits.get(name), self.requests.get(name)) {
            (None, _) => Some(format!("{rule}.  No limit is specified")),
            (Some(limit), _) if *limit > most => Some(format!("{rule}, but limit is {limit}")),
            (_, Some(request)) if *request > most => Some(format!("{rule}, but request is {request}")),
            _ => None,
        }
    }

    fn request_above_maximum(&self, item: &LimitRangeItem, (name, most): Bound<'_>) -> Option<String> {
        let rule = format!("maximum {name} usage per {} is {most}", item.type_);
        match self.requests.get(name) {
            None => Some(format!("{rule}.  No request is specified")),
            Some(request) if *request > most => Some(format!("{rule}, but request is {request}")),
            Some(_) => None,
        }
    }

    fn above_ratio(&self, item: &LimitRangeItem, (name, most): Bound<'_>) -> Option<String> {
        let rule = format!("{name} max limit to request ratio per {} is {most}", item.type_);
        let positive = |amounts: &Amounts<'_>| amounts.get(name).copied().filter(|amount| !amount.is_zero());
        let Some(request) = positive(&self.requests) else {
            return Some(format!("{rule}, but no request is specified or request is 0"));
        };
        let Some(limit) = positive(&self.limits) else {
            return Some(format!("{rule}, but no limit is specified or limit is 0"));
        };
        let ratio = ratio(limit, request, most);
        #[allow(clippy::cast_precision_loss)] // as upstream compares them
        let most = most.milli_value() as f64;
        (ratio * 1000.0 > most).then(|| format!("{rule}, but provided ratio is {ratio:.6}"))
    }
}

/// Limit by request, as precisely as all three fit.
#[allow(clippy::cast_precision_loss)] // as upstream compares them
fn ratio(limit: Quantity, request: Quantity, most: Quantity) -> f64 {
    if [limit, request, most].iter().all(|quantity| quantity.value() <= MAX_PRECISE) {
        limit.milli_value() as f64 / request.milli_value() as f64
    } else {
        limit.value() as f64 / request.value() as f64
    }
}
