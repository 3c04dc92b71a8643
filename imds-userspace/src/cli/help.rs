//! The texts below each command's `--help`: examples, and the exit codes.

/// Below `imdsctl --help`.
pub(super) const TOP: &str = "\
Exit codes:
  0  done
  1  anything else, such as no daemon answering, or a signature that is not good
  2  wrong usage or invalid input
  3  no such instance
  4  the id or the interface is taken
  5  the host can't do it

Examples:
  imdsctl instance create --interface tap0 --metadata-options HttpTokens=required
  imdsctl options set i-0123456789abcdef0 --http-put-response-hop-limit 2
  imdsctl --output json instance list";

/// Below `instance`.
pub(super) const INSTANCE: &str = "\
Examples:
  imdsctl instance create --interface veth0
  imdsctl instance list";

/// Below `instance create`.
pub(super) const INSTANCE_CREATE: &str = "\
The same id with the same content succeeds again; with other content it is refused.
The files are read by imdsctl, so they need to be readable by its user only.

--metadata-options takes NAME=VALUE pairs with commas between them:
  HttpTokens               optional | required    (default optional)
  HttpPutResponseHopLimit  1 to 64                (default 1)
  HttpEndpoint             enabled | disabled     (default enabled)
  HttpProtocolIpv6         enabled | disabled     (default disabled)
  InstanceMetadataTags     enabled | disabled     (default disabled)

Examples:
  imdsctl instance create --interface tap0 --instance-id i-0123456789abcdef0 --private-ip 10.0.0.5
  imdsctl instance create --interface veth0 --tag Name=web --tag stage=test --user-data-file cloud-init.yaml
  imdsctl instance create --interface veth0 --iam-role web --credentials-file web.json \\
      --metadata-options HttpTokens=required,HttpPutResponseHopLimit=2";

/// Below `instance list`.
pub(super) const INSTANCE_LIST: &str = "\
Examples:
  imdsctl instance list
  imdsctl instance list --output json";

/// Below `instance show`.
pub(super) const INSTANCE_SHOW: &str = "\
Secrets and user data are not shown, only a role's name, an expiration and a size.

Examples:
  imdsctl instance show i-0123456789abcdef0";

/// Below `instance restart`.
pub(super) const INSTANCE_RESTART: &str = "\
Its identity document is made of what it is now, with a new pendingTime, and signed with the keys that imdsd has
now; until then it stays as it was, byte for byte. Its tokens and connections live on.

Examples:
  imdsctl instance restart i-0123456789abcdef0";

/// Below `instance delete`.
pub(super) const INSTANCE_DELETE: &str = "\
Its tokens and open connections end with it.

Examples:
  imdsctl instance delete i-0123456789abcdef0";

/// Below `options`.
pub(super) const OPTIONS: &str = "\
Examples:
  imdsctl options show i-0123456789abcdef0
  imdsctl options set --all --http-tokens required";

/// Below `options show`.
pub(super) const OPTIONS_SHOW: &str = "\
State is `applied` while every interface of the instance that is there has the options, else `pending`.
One that comes back has them before its first packet.

Examples:
  imdsctl options show i-0123456789abcdef0";

/// Below `options set`.
pub(super) const OPTIONS_SET: &str = "\
It returns when the kernel has the options; one that is left out keeps its value.
What needs HttpEndpoint is refused for an instance that has it disabled; --all sets it there too.

Examples:
  imdsctl options set i-0123456789abcdef0 --http-tokens required --http-put-response-hop-limit 2
  imdsctl options set --all --http-tokens required";

/// Below `identity`.
pub(super) const IDENTITY: &str = "\
Examples:
  imdsctl identity certificate > rsa.pem
  imdsctl identity verify --certificate rsa.pem --document document --signature signature";

/// Below `identity certificate`.
pub(super) const IDENTITY_CERTIFICATE: &str = "\
An instance that was signed with an earlier key is checked with the certificate of that, until it restarts.

Examples:
  imdsctl identity certificate > rsa.pem
  imdsctl identity certificate --dsa > dsa.pem";

/// Below `identity verify`.
pub(super) const IDENTITY_VERIFY: &str = "\
It exits with 0 when every signature given is one of exactly this document, by the key of a certificate given, and
with 1 when one is not. With --certificate no daemon is asked.

Examples:
  imdsctl identity verify --certificate rsa.pem --document document --signature signature --rsa2048 rsa2048
  imdsctl identity verify --certificate dsa.pem --document document --pkcs7 - < pkcs7";

/// Below `stats`.
pub(super) const STATS: &str = "\
The table shows refusals and drops that happened; JSON has every counter.
Counters only grow, over restarts of the daemon too.

Examples:
  imdsctl stats
  imdsctl stats i-0123456789abcdef0 --watch
  imdsctl stats --watch --output json";

/// Below `completions`.
pub(super) const COMPLETIONS: &str = "\
Examples:
  imdsctl completions bash > /etc/bash_completion.d/imdsctl";

/// Below `man`.
pub(super) const MAN: &str = "\
Examples:
  imdsctl man /usr/local/share/man/man1
  imdsctl man | man -l -";
