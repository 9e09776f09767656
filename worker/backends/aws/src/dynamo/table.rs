//! The one table and its indexes: making it, and saying what is wrong with it.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus, TimeToLiveSpecification,
};
use flotilla_core::queue::{QueueError, QueueErrorKind};

use crate::connect::failed;

/// The attribute DynamoDB removes items by: seconds since the Unix epoch.
pub(crate) const TTL: &str = "ttl";
/// How long a new table may take.
const PATIENCE: u32 = 120;

/// The sparse indexes: an item is in one only while it has its two attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    /// `lane#state` → id: what people look at.
    Desk,
    /// `lane#kind` → told or not, place: what may be claimed or published.
    Ready,
    /// `due|lease|keep|hand|untold|sweep#lane` → instant: what time does next.
    Timer,
    /// `lane` → deadline, while the job waits.
    Late,
    /// The key it is parked under → enqueued at.
    Parked,
    /// `parent` → id.
    Kin,
}

impl Index {
    const ALL: [Self; 6] =
        [Self::Desk, Self::Ready, Self::Timer, Self::Late, Self::Parked, Self::Kin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Desk => "desk",
            Self::Ready => "ready",
            Self::Timer => "timer",
            Self::Late => "late",
            Self::Parked => "parked",
            Self::Kin => "kin",
        }
    }

    /// The attributes of its partition and its order.
    pub(crate) fn attributes(self) -> [&'static str; 2] {
        match self {
            Self::Desk => ["desk_pk", "desk_sk"],
            Self::Ready => ["ready_pk", "ready_sk"],
            Self::Timer => ["timer_pk", "timer_sk"],
            Self::Late => ["late_pk", "late_sk"],
            Self::Parked => ["parked_pk", "parked_sk"],
            Self::Kin => ["kin_pk", "kin_sk"],
        }
    }
}

fn unbuilt(error: BuildError) -> QueueError {
    QueueError::new(QueueErrorKind::Invalid, "not a request DynamoDB takes", error)
}

fn schema([first, second]: [&str; 2]) -> Result<Vec<KeySchemaElement>, QueueError> {
    let element = |name: &str, part| {
        KeySchemaElement::builder().attribute_name(name).key_type(part).build().map_err(unbuilt)
    };
    Ok(vec![element(first, KeyType::Hash)?, element(second, KeyType::Range)?])
}

/// Makes the table and waits until it is there; safe to repeat.
pub(crate) async fn make(client: &Client, table: &str) -> Result<(), QueueError> {
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema(["pk", "sk"])?));
    let mut names = vec!["pk", "sk"];
    for index in Index::ALL {
        let projection = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
        let index_of = GlobalSecondaryIndex::builder()
            .index_name(index.name())
            .set_key_schema(Some(schema(index.attributes())?))
            .projection(projection);
        request = request.global_secondary_indexes(index_of.build().map_err(unbuilt)?);
        names.extend(index.attributes());
    }
    for name in names {
        let text = AttributeDefinition::builder().attribute_type(ScalarAttributeType::S);
        let definition = text.attribute_name(name).build().map_err(unbuilt)?;
        request = request.attribute_definitions(definition);
    }
    match request.send().await {
        Ok(_) => {}
        Err(error) if error.code() == Some("ResourceInUseException") => {}
        Err(error) => return Err(failed("making the table", error)),
    }
    wait(client, table).await?;
    if problems(client, table).await?.iter().any(|problem| problem.contains("time to live")) {
        let by = TimeToLiveSpecification::builder().attribute_name(TTL).enabled(true);
        let request = client.update_time_to_live().table_name(table);
        let request = request.time_to_live_specification(by.build().map_err(unbuilt)?);
        request.send().await.map_err(|error| failed("setting time to live", error))?;
    }
    Ok(())
}

async fn wait(client: &Client, table: &str) -> Result<(), QueueError> {
    for _ in 0..PATIENCE {
        let found = client.describe_table().table_name(table).send().await;
        let found = found.map_err(|error| failed("looking at the table", error))?;
        let status = found.table.and_then(|table| table.table_status);
        if status == Some(TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(QueueError::plain(
        QueueErrorKind::Unavailable,
        format!("the table \"{table}\" is still being made: try again in a while"),
    ))
}

/// What keeps the table from working as it should, each with what mends it.
pub(crate) async fn problems(client: &Client, table: &str) -> Result<Vec<String>, QueueError> {
    let found = client.describe_table().table_name(table).send().await.map_err(|error| {
        if error.code() == Some("ResourceNotFoundException") {
            let text = format!("the table \"{table}\" does not exist: run `flotilla migrate`");
            return QueueError::new(QueueErrorKind::Invalid, text, error);
        }
        failed("looking at the table", error)
    })?;
    let mut problems = Vec::new();
    let indexes = found.table.and_then(|table| table.global_secondary_indexes).unwrap_or_default();
    for index in Index::ALL {
        if !indexes.iter().any(|there| there.index_name.as_deref() == Some(index.name())) {
            problems.push(format!(
                "table {table} has no index \"{}\": give another table name and run `flotilla migrate`",
                index.name()
            ));
        }
    }
    let ttl = client.describe_time_to_live().table_name(table).send().await;
    let ttl = ttl.map_err(|error| failed("looking at time to live", error))?;
    let named = ttl.time_to_live_description.and_then(|ttl| ttl.attribute_name);
    if named.as_deref() != Some(TTL) {
        problems.push(format!(
            "table {table} has no time to live by \"{TTL}\", so cells and keys that lapsed stay; run `flotilla migrate`"
        ));
    }
    Ok(problems)
}
