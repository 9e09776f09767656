//! What a binary would know, in memory.

use std::sync::Mutex;

use async_trait::async_trait;
use flotilla_core::account::{Account, AccountStatus};
use flotilla_core::breaker::Breaker;
use flotilla_core::limit::{LimitKey, Rule};
use flotilla_core::queue::QueueError;
use flotilla_core::records::JobRecord;
use flotilla_core::{JobId, Kind, Tenant, Timestamp};

use crate::api::insight::{
    AccountView, BreakerView, FoundOut, Insight, LimitView, RuleView, ScheduleView, Unfound, Why,
};

/// Rules and breakers by key, two accounts, two schedules.
#[derive(Default)]
pub(super) struct Known {
    rules: Mutex<Vec<RuleView>>,
    breakers: Mutex<Vec<BreakerView>>,
}

fn account(tenant: &str, id: &str) -> AccountView {
    AccountView {
        account: Account {
            tenant: tenant.parse().expect("a tenant"),
            id: id.to_owned(),
            platform: "sandbox".to_owned(),
            external_id: "7".to_owned(),
            name: String::new(),
            status: AccountStatus::Active,
            scopes: Vec::new(),
            expires_at: None,
            refresh_expires_at: None,
            base_url: None,
            extra: Default::default(),
            created_at: Timestamp::UNIX_EPOCH,
            renewed_at: None,
        },
        version: 1,
        obtained_at: Timestamp::UNIX_EPOCH,
        refreshable: true,
        due_at: None,
        overdue: false,
        ends_at: None,
        failures: 0,
        lost: 0,
        last_error: None,
    }
}

fn schedule(tenant: &str) -> ScheduleView {
    ScheduleView {
        name: format!("tick-{tenant}"),
        cron: "* * * * *".to_owned(),
        timezone: "UTC".to_owned(),
        kind: Kind::from_static("text.read"),
        lane: None,
        tenant: tenant.parse().expect("a tenant"),
        payload: serde_json::json!({"text": "a", "password": "hunter2"}),
        last: None,
        next: None,
    }
}

#[async_trait]
impl Insight for Known {
    async fn why(&self, job: &JobRecord) -> Result<Why, QueueError> {
        let because = vec!["it is where it is".to_owned()];
        Ok(Why { id: job.id, state: job.state, because, ahead: None, start: None })
    }

    async fn limits(&self) -> Result<(Vec<RuleView>, Vec<LimitView>), QueueError> {
        Ok((self.rules.lock().expect("no panic").clone(), Vec::new()))
    }

    async fn set_rule(&self, rule: &Rule) -> Result<(), QueueError> {
        let quotas = rule.quotas.iter().map(ToString::to_string).collect();
        let view = RuleView { pattern: rule.pattern.clone(), quotas, set_by_hand: true };
        self.unset_rule(&rule.pattern).await?;
        self.rules.lock().expect("no panic").push(view);
        Ok(())
    }

    async fn unset_rule(&self, pattern: &str) -> Result<bool, QueueError> {
        let mut rules = self.rules.lock().expect("no panic");
        let before = rules.len();
        rules.retain(|rule| rule.pattern != pattern);
        Ok(rules.len() < before)
    }

    async fn breakers(&self) -> Result<Vec<BreakerView>, QueueError> {
        Ok(self.breakers.lock().expect("no panic").clone())
    }

    fn breaker_of(&self, key: &LimitKey) -> LimitKey {
        key.above(2)
    }

    async fn open_breaker(
        &self,
        key: &LimitKey,
        by: &str,
        why: &str,
        _: Option<std::time::Duration>,
    ) -> Result<(), QueueError> {
        let mut breaker = Breaker::default();
        breaker.open(by, why, None, Timestamp::UNIX_EPOCH);
        let (key, says) = (key.to_string(), breaker.stand.to_string());
        self.breakers.lock().expect("no panic").push(BreakerView {
            key,
            stand: breaker.stand,
            says,
            history: Vec::new(),
        });
        Ok(())
    }

    async fn close_breaker(&self, key: &LimitKey, _: &str, _: &str) -> Result<bool, QueueError> {
        let mut breakers = self.breakers.lock().expect("no panic");
        let before = breakers.len();
        breakers.retain(|breaker| breaker.key != key.to_string());
        Ok(breakers.len() < before)
    }

    async fn accounts(
        &self,
        tenant: Option<&Tenant>,
        after: Option<(Tenant, String)>,
        limit: usize,
    ) -> Result<Vec<AccountView>, QueueError> {
        let all = [account("a", "one"), account("a", "two"), account("b", "one")].into_iter();
        let place = |view: &AccountView| (view.account.tenant.clone(), view.account.id.clone());
        Ok(all
            .filter(|view| tenant.is_none_or(|wanted| view.account.tenant == *wanted))
            .filter(|view| after.as_ref().is_none_or(|after| place(view) > *after))
            .take(limit)
            .collect())
    }

    async fn found(&self, job: &JobRecord, _: &FoundOut) -> Result<JobId, Unfound> {
        Err(Unfound::Refused(format!("{} is no dead letter of unknown outcome", job.id)))
    }

    async fn glance(&self) -> Result<serde_json::Value, QueueError> {
        Ok(serde_json::json!({"at": Timestamp::UNIX_EPOCH, "attention": [], "lanes": []}))
    }

    async fn schedules(&self) -> Result<Vec<ScheduleView>, QueueError> {
        Ok(vec![schedule("a"), schedule("b")])
    }
}
