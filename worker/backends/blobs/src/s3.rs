//! Blobs in a bucket of S3, or of what speaks its protocol.
//!
//! Region and credentials come as every AWS tool takes them: the SDK's own chain of environment,
//! `~/.aws`, and the roles of containers and machines; `object_store` asks it for each request, so
//! credentials that expire are renewed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey, Blobs};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::signer::Signer;
use object_store::{CredentialProvider, Error, ObjectStore};
use reqwest::Method;

use crate::objects::{Objects, failed, place};

/// The longest a link may last: a week, the bound of S3 itself.
const LONGEST_LINK: Duration = Duration::from_secs(7 * 86_400);

/// How S3 encrypts what it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket says.
    #[default]
    Bucket,
    /// With a key of S3's own.
    Aes256,
    /// With a key of KMS: this one, or the account's own.
    Kms(Option<String>),
}

/// Which bucket, and how it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket; it must exist.
    pub bucket: String,
    /// As `eu-west-1`; else as the environment says.
    pub region: Option<String>,
    /// Another address: an emulator, another service. Buckets are then part of the path.
    pub endpoint: Option<String>,
    /// A profile of `~/.aws/config`; else as the environment says.
    pub profile: Option<String>,
    /// How S3 encrypts.
    pub encryption: Encryption,
    /// Largest blob, in bytes.
    pub max_bytes: u64,
}

/// A bucket of blobs.
#[derive(Debug)]
pub struct S3Blobs {
    objects: Objects,
    signer: Arc<AmazonS3>,
    bucket: String,
}

impl S3Blobs {
    /// The blobs of a bucket. Asks S3 nothing yet: `list("", 1)` shows whether it can be read.
    ///
    /// # Errors
    /// [`BlobError::Store`] when no region is known or an address cannot be read.
    pub async fn connect(settings: S3Settings) -> Result<Self, BlobError> {
        Self::open(&access(&settings).await, settings)
    }

    /// As [`connect`](Self::connect), with region, endpoint and credentials found before.
    ///
    /// # Errors
    /// As there.
    pub fn open(config: &SdkConfig, settings: S3Settings) -> Result<Self, BlobError> {
        let named = format!("s3://{}", settings.bucket);
        let missing = |text: &str| BlobError::Store { key: named.clone(), source: text.into() };
        let region = config.region().ok_or_else(|| {
            missing("no AWS region: set AWS_REGION, or the region in the configuration")
        })?;
        let provider = config.credentials_provider().ok_or_else(|| {
            missing("no AWS credentials: set AWS_PROFILE, or give the machine a role")
        })?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(region.as_ref())
            .with_credentials(Arc::new(Bridge(provider)));
        if let Some(endpoint) = config.endpoint_url() {
            builder = builder
                .with_allow_http(endpoint.starts_with("http://"))
                .with_endpoint(endpoint.trim_end_matches('/'));
        } else {
            builder = builder.with_virtual_hosted_style_request(true);
        }
        builder = match &settings.encryption {
            Encryption::Bucket => builder,
            Encryption::Aes256 => builder.with_config(server_side()?, "AES256"),
            Encryption::Kms(None) => builder.with_config(server_side()?, "aws:kms"),
            Encryption::Kms(Some(key)) => builder.with_sse_kms_encryption(key),
        };
        let store = Arc::new(builder.build().map_err(failed(&named))?);
        Ok(Self {
            objects: Objects {
                store: Arc::<AmazonS3>::clone(&store) as Arc<dyn ObjectStore>,
                max_bytes: settings.max_bytes,
                typed: true,
            },
            signer: store,
            bucket: settings.bucket,
        })
    }
}

fn server_side() -> Result<AmazonS3ConfigKey, BlobError> {
    "aws_server_side_encryption".parse().map_err(failed("server-side encryption"))
}

/// Region, endpoint and credentials, over the one TLS stack.
async fn access(settings: &S3Settings) -> SdkConfig {
    let tls = Provider::Rustls(CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http);
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

/// The SDK's credentials, for `object_store`. The SDK keeps and renews them.
#[derive(Debug)]
struct Bridge(SharedCredentialsProvider);

#[async_trait]
impl CredentialProvider for Bridge {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>, Error> {
        let found = self.0.provide_credentials().await;
        let found = found.map_err(|e| Error::Generic { store: "S3", source: Box::new(e) })?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        }))
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, key: &BlobKey, bytes: Bytes, content_type: &str) -> Result<(), BlobError> {
        self.objects.put(key, bytes, content_type).await
    }

    async fn get(&self, key: &BlobKey, max_bytes: u64) -> Result<Bytes, BlobError> {
        self.objects.get(key, max_bytes).await
    }

    async fn part(&self, key: &BlobKey, from: u64, length: u64) -> Result<Bytes, BlobError> {
        self.objects.part(key, from, length).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        self.objects.size(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        self.objects.delete(key).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<BlobKey>, BlobError> {
        self.objects.list(prefix, limit).await
    }

    fn locate(&self, key: &BlobKey) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// A presigned URL: whoever has it may read this one blob until it has lapsed.
    async fn link(&self, key: &BlobKey, lasts: Duration) -> Result<String, BlobError> {
        let lasts = lasts.min(LONGEST_LINK);
        let signed = self.signer.signed_url(Method::GET, &place(key), lasts).await;
        signed.map(String::from).map_err(failed(key))
    }
}
