//! From a kind's name to the code that runs it: the one place where types are erased.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::envelope::{Payload, Unique};
use crate::handler::{Handler, JobContext};
use crate::ids::Kind;
use crate::job::{Job, Policy};
use crate::limit::LimitKey;
use crate::open::{OpenHandler, OpenKind};
use crate::outcome::JobError;
use crate::suggest;

type RunFuture = Pin<Box<dyn Future<Output = Result<Bytes, JobError>> + Send>>;
type Run = dyn Fn(u16, Payload, JobContext) -> RunFuture + Send + Sync;
type Check = dyn Fn(u16, &Payload) -> Result<Checked, PayloadError> + Send + Sync;
type Keys = dyn Fn(u16, &Payload) -> Vec<LimitKey> + Send + Sync;
type Schemas = dyn Fn() -> Result<(Value, Value), serde_json::Error> + Send + Sync;

/// Why a payload is not one of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: payload field \"{field}\": {message}")]
pub struct PayloadError {
    /// The kind it was checked against.
    pub kind: Kind,
    /// The path of the offending field, as in `outputs[0].width`; `.` for the whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// What a checked payload says about itself.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Its unique key, where the kind gives one.
    pub unique: Option<Unique>,
}

/// One kind as the engine, the enqueue and `flotilla schema` see it.
#[derive(Clone)]
pub struct Registered {
    /// Its present name.
    pub kind: Kind,
    /// Names it had before.
    pub aliases: &'static [Kind],
    /// The present version of its payload.
    pub version: u16,
    /// How it is run, after the configuration had its say.
    pub policy: Policy,
    run: Arc<Run>,
    check: Arc<Check>,
    keys: Option<Arc<Keys>>,
    schemas: Arc<Schemas>,
}

impl Registered {
    /// One attempt: lift the payload to the present version, decode, run, encode the result.
    /// A payload that does not decode is [`JobError::Fail`] `invalid`.
    ///
    /// # Errors
    /// What the handler says.
    pub async fn run(
        &self,
        version: u16,
        payload: Payload,
        cx: JobContext,
    ) -> Result<Bytes, JobError> {
        (self.run)(version, payload, cx).await
    }

    /// Whether a payload of `version` is one of this kind.
    ///
    /// # Errors
    /// [`PayloadError`] naming the first offending field.
    pub fn check(&self, version: u16, payload: &Payload) -> Result<Checked, PayloadError> {
        (self.check)(version, payload)
    }

    /// Whether its jobs count against limits and breakers.
    pub fn is_limited(&self) -> bool {
        self.keys.is_some()
    }

    /// The keys a job of this payload counts against; none when the payload does not decode.
    pub fn keys(&self, version: u16, payload: &Payload) -> Vec<LimitKey> {
        self.keys.as_ref().map(|keys| keys(version, payload)).unwrap_or_default()
    }

    /// JSON Schema (2020-12) of the payload and of the result.
    ///
    /// # Errors
    /// When a schema cannot be written as JSON: a bug of the kind.
    pub fn schemas(&self) -> Result<(Value, Value), serde_json::Error> {
        (self.schemas)()
    }
}

/// All kinds this build can run.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<Kind, Registered>,
    names: BTreeMap<Kind, Kind>,
}

/// A registration or look-up that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two kinds claim one name.
    #[error("kind \"{0}\" is registered twice")]
    Twice(Kind),
    /// No kind has that name.
    #[error("unknown kind \"{given}\"{hint}; `flotilla schema` lists the kinds")]
    Unknown {
        /// What was asked for.
        given: String,
        /// `: did you mean …?`, or nothing.
        hint: String,
    },
}

impl Registry {
    /// Adds a kind and its handler.
    ///
    /// # Errors
    /// [`RegistryError::Twice`] when its name or an alias is taken.
    pub fn register<J: Job, H: Handler<J>>(&mut self, handler: H) -> Result<(), RegistryError> {
        for name in std::iter::once(&J::KIND).chain(J::ALIASES) {
            if self.names.insert(name.clone(), J::KIND).is_some() {
                return Err(RegistryError::Twice(name.clone()));
            }
        }
        let handler = Arc::new(handler);
        let looks = Arc::clone(&handler);
        let run: Arc<Run> = Arc::new(move |version, payload, cx| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let job = decode::<J>(version, &payload).map_err(JobError::invalid)?;
                let output = handler.run(job, &cx).await?;
                serde_json::to_vec(&output).map(Bytes::from).map_err(JobError::retry)
            })
        });
        let check: Arc<Check> = Arc::new(move |version, payload| {
            let job = decode::<J>(version, payload)?;
            match first_of(J::KIND, looks.faults(&job)) {
                Some(fault) => Err(fault),
                None => Ok(Checked { unique: job.unique() }),
            }
        });
        let keys = J::LIMITS.map(|limits| -> Arc<Keys> {
            Arc::new(move |version, payload| {
                decode::<J>(version, payload).map(|job| limits(&job)).unwrap_or_default()
            })
        });
        let schemas: Arc<Schemas> = Arc::new(|| {
            Ok((
                serde_json::to_value(schemars::schema_for!(J))?,
                serde_json::to_value(schemars::schema_for!(J::Output))?,
            ))
        });
        let entry = Registered {
            kind: J::KIND,
            aliases: J::ALIASES,
            version: J::VERSION,
            policy: J::policy(),
            run,
            check,
            keys,
            schemas,
        };
        self.kinds.insert(J::KIND, entry);
        Ok(())
    }

    /// Adds a kind that has no type, and its handler.
    ///
    /// # Errors
    /// [`RegistryError::Twice`] when its name is taken.
    pub fn register_open(
        &mut self,
        open: OpenKind,
        handler: Arc<dyn OpenHandler>,
    ) -> Result<(), RegistryError> {
        let kind = open.kind;
        if self.names.contains_key(&kind) {
            return Err(RegistryError::Twice(kind));
        }
        self.names.insert(kind.clone(), kind.clone());
        let (name, looks) = (kind.clone(), Arc::clone(&handler));
        let check: Arc<Check> =
            Arc::new(move |version, payload| match open_fault(&name, &*looks, version, payload) {
                Some(fault) => Err(fault),
                None => Ok(Checked::default()),
            });
        let checked = Arc::clone(&check);
        let run: Arc<Run> = Arc::new(move |version, payload, cx| {
            let (handler, checked) = (Arc::clone(&handler), Arc::clone(&checked));
            Box::pin(async move {
                checked(version, &payload).map_err(JobError::invalid)?;
                handler.run(payload, &cx).await
            })
        });
        let (keys, schemas) = (open.keys, (open.payload, open.result));
        let keys = (!keys.is_empty()).then(|| -> Arc<Keys> { Arc::new(move |_, _| keys.clone()) });
        let entry = Registered {
            kind: kind.clone(),
            aliases: &[],
            version: 1,
            policy: open.policy,
            run,
            check,
            keys,
            schemas: Arc::new(move || Ok(schemas.clone())),
        };
        self.kinds.insert(kind, entry);
        Ok(())
    }

    /// The kind of that name or former name.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] with the nearest known name.
    pub fn get(&self, name: &str) -> Result<&Registered, RegistryError> {
        Kind::new(name)
            .ok()
            .and_then(|kind| self.names.get(&kind))
            .and_then(|kind| self.kinds.get(kind))
            .ok_or_else(|| RegistryError::Unknown {
                given: name.chars().take(80).collect(),
                hint: suggest::hint(name, self.names.keys().map(Kind::as_str)),
            })
    }

    /// Lets the configuration change how a kind is run.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] when there is no such kind.
    pub fn adjust(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Policy),
    ) -> Result<(), RegistryError> {
        let kind = self.get(name)?.kind.clone();
        if let Some(entry) = self.kinds.get_mut(&kind) {
            change(&mut entry.policy);
        }
        Ok(())
    }

    /// Every kind, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Registered> {
        self.kinds.values()
    }

    /// Every name a job may carry: kinds and their former names.
    pub fn names(&self) -> impl Iterator<Item = &Kind> {
        self.names.keys()
    }
}

fn decode<J: Job>(version: u16, payload: &Payload) -> Result<J, PayloadError> {
    let fault = |field: String, message: String| PayloadError { kind: J::KIND, field, message };
    let job: J = if version == J::VERSION {
        let mut json = serde_json::Deserializer::from_slice(payload.bytes());
        let job = serde_path_to_error::deserialize(&mut json)
            .map_err(|e| fault(e.path().to_string(), e.inner().to_string()))?;
        json.end().map_err(|e| fault(".".into(), e.to_string()))?;
        job
    } else if version == 0 || version > J::VERSION {
        let known = J::VERSION;
        let message =
            format!("version {version} is not known here (1 to {known}): upgrade this worker");
        return Err(fault(".".into(), message));
    } else {
        let mut value: Value = serde_json::from_slice(payload.bytes())
            .map_err(|e| fault(".".into(), format!("not JSON: {e}")))?;
        for from in version..J::VERSION {
            value = J::upcast(from, value).map_err(|e| fault(".".into(), e))?;
        }
        serde_path_to_error::deserialize(value)
            .map_err(|e| fault(e.path().to_string(), e.inner().to_string()))?
    };
    match first_of(J::KIND, job.faults()) {
        None => Ok(job),
        Some(fault) => Err(fault),
    }
}

fn open_fault(
    kind: &Kind,
    handler: &dyn OpenHandler,
    version: u16,
    payload: &Payload,
) -> Option<PayloadError> {
    let whole = |message| Some(PayloadError { kind: kind.clone(), field: ".".into(), message });
    if version != 1 {
        return whole(format!("version {version} is not known here (only 1)"));
    }
    match serde_json::from_slice(payload.bytes()) {
        Ok(value) => first_of(kind.clone(), handler.faults(&value)),
        Err(error) => whole(format!("not JSON: {error}")),
    }
}

/// All faults as one: under the first one's field, the others behind its message.
fn first_of(kind: Kind, faults: Vec<(String, String)>) -> Option<PayloadError> {
    let mut faults = faults.into_iter();
    let (field, mut message) = faults.next()?;
    for (field, said) in faults {
        message.push_str(&format!("; {field}: {said}"));
    }
    Some(PayloadError { kind, field, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::handler::CpuPool;
    use crate::ids::JobId;
    use crate::state::DeadClass;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Double {
        number: Inner,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Inner {
        value: i64,
    }

    impl Job for Double {
        const KIND: Kind = Kind::from_static("number.double");
        const ALIASES: &'static [Kind] = &[Kind::from_static("double")];
        const VERSION: u16 = 2;
        type Output = i64;

        fn upcast(_: u16, payload: Value) -> Result<Value, String> {
            Ok(serde_json::json!({"number": {"value": payload["n"]}}))
        }

        fn faults(&self) -> Vec<(String, String)> {
            let odd = self.number.value == 13;
            odd.then(|| ("number.value".into(), "13 is not wanted".into())).into_iter().collect()
        }
    }

    struct Doubler;

    impl Handler<Double> for Doubler {
        async fn run(&self, job: Double, _: &JobContext) -> Result<i64, JobError> {
            Ok(job.number.value * 2)
        }
    }

    fn registry() -> Registry {
        let mut registry = Registry::default();
        registry.register::<Double, _>(Doubler).unwrap();
        registry
    }

    async fn run(version: u16, json: &'static str) -> Result<Bytes, JobError> {
        let id = JobId::derived("test");
        let cx = JobContext::detached(id, Double::KIND, Arc::new(SystemClock), CpuPool::new(1));
        let registry = registry();
        let kind = registry.get("double").unwrap();
        kind.run(version, Payload::from_bytes(json), cx).await
    }

    #[tokio::test]
    async fn old_versions_are_lifted_and_aliases_lead_to_the_kind() {
        assert_eq!(run(2, r#"{"number":{"value":21}}"#).await.unwrap(), "42");
        assert_eq!(run(1, r#"{"n":4}"#).await.unwrap(), "8");
    }

    #[tokio::test]
    async fn what_does_not_decode_is_dead_at_once() {
        for (version, json) in
            [(2, "{"), (2, "{} {}"), (3, "{}"), (0, "{}"), (2, r#"{"number":{"value":13}}"#)]
        {
            let error = run(version, json).await.unwrap_err();
            assert!(matches!(error, JobError::Fail { class: DeadClass::Invalid, .. }), "{json}");
        }
    }

    #[test]
    fn a_fault_names_its_field_by_path() {
        let registry = registry();
        let kind = registry.get("number.double").unwrap();
        let check =
            |json: &'static str| kind.check(2, &Payload::from_bytes(json)).unwrap_err().field;
        assert_eq!(check(r#"{"number":{"value":"x"}}"#), "number.value");
        assert_eq!(check(r#"{"number":{"value":13}}"#), "number.value");
    }

    struct Echo;

    impl OpenHandler for Echo {
        fn faults(&self, payload: &Value) -> Vec<(String, String)> {
            let empty = payload.as_object().is_none_or(serde_json::Map::is_empty);
            empty.then(|| (".".into(), "give a field".into())).into_iter().collect()
        }

        fn run<'a>(&'a self, payload: Payload, _: &'a JobContext) -> crate::open::Attempt<'a> {
            Box::pin(async move { Ok(payload.bytes().clone()) })
        }
    }

    #[tokio::test]
    async fn a_kind_without_a_type_is_checked_and_run_like_others() {
        let mut registry = registry();
        let open = |name: &str| OpenKind {
            kind: Kind::new(name).unwrap(),
            policy: Policy::default(),
            keys: vec![LimitKey::of(&["external", name])],
            payload: serde_json::json!({"type": "object"}),
            result: serde_json::json!(true),
        };
        registry.register_open(open("echo"), Arc::new(Echo)).unwrap();
        for taken in ["echo", "double"] {
            let error = registry.register_open(open(taken), Arc::new(Echo)).unwrap_err();
            assert!(matches!(error, RegistryError::Twice(_)), "{taken}");
        }
        let kind = registry.get("echo").unwrap();
        let payload = Payload::from_bytes(r#"{"a":1}"#);
        assert!(kind.check(1, &payload).is_ok() && kind.is_limited());
        assert_eq!(kind.keys(1, &payload)[0].as_str(), "external/echo");
        assert_eq!(kind.check(1, &Payload::from_bytes("{}")).unwrap_err().message, "give a field");
        assert!(kind.check(2, &payload).is_err());
        let id = JobId::derived("open");
        let cx =
            JobContext::detached(id, kind.kind.clone(), Arc::new(SystemClock), CpuPool::new(1));
        let refused = kind.run(1, Payload::from_bytes("{"), cx.clone()).await;
        assert!(matches!(refused, Err(JobError::Fail { class: DeadClass::Invalid, .. })));
        assert_eq!(kind.run(1, payload, cx).await.unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn names_are_unique_and_unknown_ones_get_a_hint() {
        let mut registry = registry();
        assert!(matches!(registry.register::<Double, _>(Doubler), Err(RegistryError::Twice(_))));
        let error = registry.get("number.duoble").err().unwrap().to_string();
        assert!(error.contains("did you mean \"number.double\"?"), "{error}");
    }
}
