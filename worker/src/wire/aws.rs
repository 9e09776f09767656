//! How Amazon's services are reached, as `[aws]` says.

use flotilla_aws::Access;
use flotilla_config::Config;

/// Region and endpoint of the configuration; what is not there comes as for every AWS tool.
pub(super) fn access(config: &Config) -> Access {
    Access {
        region: config.aws.region.clone(),
        endpoint: config.aws.endpoint.clone(),
        profile: None,
    }
}
