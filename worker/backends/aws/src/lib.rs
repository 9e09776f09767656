//! Jobs on the services of AWS: SQS carries them ([`sqs`]), DynamoDB holds their records
//! ([`dynamo`]). Blobs on S3 are in `flotilla-blobs`.

pub mod connect;
pub mod dynamo;
pub mod sqs;

pub use connect::Access;
