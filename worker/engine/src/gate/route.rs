//! What a job's keys lead to: the keys above them, the quotas that hold, its breakers. Worked out
//! once for all jobs with the same keys, and anew when people set other quotas; a job then costs
//! one look-up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flotilla_core::limit::{LimitKey, Quota};

use super::slices::{Slices, Slot};
use super::view::View;
use crate::lease::lock;

/// Different sets of keys that are remembered.
const MOST: usize = 10_000;

/// Where a job with certain keys has to pass.
pub(crate) struct Route {
    /// All keys it counts against, broadest first.
    pub(crate) path: Vec<LimitKey>,
    /// Those with quotas, narrowest first: what others share is asked for once the job's own keys
    /// allow it.
    pub(crate) limited: Vec<Limited>,
    pub(crate) breakers: Vec<LimitKey>,
    /// Of the rules it was made from.
    edition: u64,
}

/// A key with quotas.
pub(crate) struct Limited {
    pub(crate) key: LimitKey,
    pub(crate) quotas: Vec<Quota>,
    /// What this worker has of it.
    pub(crate) slot: Slot,
}

/// The routes in use.
#[derive(Default)]
pub(crate) struct Routes(Mutex<HashMap<Vec<LimitKey>, Arc<Route>>>);

impl Routes {
    /// The route of a job with these keys; `depth`: parts of a key that share a breaker.
    pub(crate) fn of(
        &self,
        keys: &[LimitKey],
        depth: usize,
        view: &View,
        slices: &Slices,
    ) -> Arc<Route> {
        let edition = view.edition();
        if let Some(route) = lock(&self.0).get(keys).filter(|route| route.edition == edition) {
            return Arc::clone(route);
        }
        let route = Arc::new(Route::new(keys, depth, edition, view, slices));
        let mut routes = lock(&self.0);
        if routes.len() >= MOST {
            routes.clear();
        }
        routes.insert(keys.to_vec(), Arc::clone(&route));
        route
    }
}

impl Route {
    fn new(keys: &[LimitKey], depth: usize, edition: u64, view: &View, slices: &Slices) -> Self {
        let mut path: Vec<LimitKey> = keys.iter().flat_map(LimitKey::path).collect();
        path.sort_by(|a, b| (a.as_str().len(), a).cmp(&(b.as_str().len(), b)));
        path.dedup();
        let mut breakers: Vec<LimitKey> = keys.iter().map(|key| key.above(depth)).collect();
        breakers.sort();
        breakers.dedup();
        let limited = path.iter().rev().map(|key| (key, view.quotas(key)));
        let limited = limited
            .filter(|(_, quotas)| !quotas.is_empty())
            .map(|(key, quotas)| Limited { key: key.clone(), quotas, slot: slices.of(key) })
            .collect();
        Self { path, limited, breakers, edition }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_core::limit::Rule;

    use super::*;

    #[test]
    fn a_route_is_made_once_and_again_under_other_rules() {
        let rules = [("api", "9/min"), ("api/*", "3/s")];
        let rules = rules.map(|(key, quota)| Rule::new(key, &[quota]).unwrap());
        let (view, slices, routes) =
            (View::new(rules.to_vec()), Slices::default(), Routes::default());
        let keys = [LimitKey::of(&["api", "a", "post"]), LimitKey::of(&["api", "a", "read"])];
        let of = || routes.of(&keys, 2, &view, &slices);
        let first = of();
        let text = |keys: &[LimitKey]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(&first.path), ["api", "api/a", "api/a/post", "api/a/read"]);
        assert_eq!(text(&first.breakers), ["api/a"]);
        let limited: Vec<&str> = first.limited.iter().map(|of| of.key.as_str()).collect();
        assert_eq!(limited, ["api/a", "api"]);
        assert!(Arc::ptr_eq(&first, &of()));
        view.set_live(vec![Rule::new("api/*", &["5/s"]).unwrap()]);
        let second = of();
        assert_eq!(second.limited[0].quotas[0].to_string(), "5/sec");
        assert!(Arc::ptr_eq(&first.limited[0].slot, &second.limited[0].slot));
        view.set_live(vec![Rule::new("api/*", &["5/s"]).unwrap()]);
        assert!(Arc::ptr_eq(&second, &of()), "the rules are the same");
    }
}
