//! The texts below each command's `--help`: examples, and the exit codes.

/// Below `imdsctl --help`.
pub(super) const TOP: &str = "\
Exit codes:
  0  done
  1  anything else, such as no daemon answering
  2  wrong usage or invalid input
  3  no such instance, or no such closed interface
  4  the id or the interface is taken, or a key rotation comes too soon
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
  imdsctl instance create --interface veth0 --iam-role web --metadata-options HttpTokens=required
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

/// Below `instance delete`.
pub(super) const INSTANCE_DELETE: &str = "\
Its tokens and open connections end with it. Its interfaces stay closed, so that the guest never falls through to a
service of the host's own provider, until another instance takes them, they vanish, or they are released: by --release
here, or later by `imdsctl interface release`.

Examples:
  imdsctl instance delete i-0123456789abcdef0
  imdsctl instance delete i-0123456789abcdef0 --release";

/// Below `interface`.
pub(super) const INTERFACE: &str = "\
Examples:
  imdsctl interface release tap0";

/// Below `interface release`.
pub(super) const INTERFACE_RELEASE: &str = "\
What its guest sends to the metadata addresses then goes where the host's own stack leads it.
An interface of an instance is not released: delete the instance, with --release.

Examples:
  imdsctl interface release tap0";

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

/// Below `stats`.
pub(super) const STATS: &str = "\
The table shows refusals and drops that happened; JSON has every counter.
Counters only grow, over restarts of the daemon too.

Examples:
  imdsctl stats
  imdsctl stats i-0123456789abcdef0 --watch
  imdsctl stats --watch --output json";

/// Below `explain`.
pub(super) const EXPLAIN: &str = "\
The daemon keeps the last 64 refusals and drops of each interface, from its start on, and no more than some ten a
second of the kernel's; counters have all. No token is shown.

Examples:
  imdsctl explain i-0123456789abcdef0
  imdsctl explain i-0123456789abcdef0 --last 5 --output json";

/// Below `trace`.
pub(super) const TRACE: &str = "\
A packet a line: time, client, verdict, kind, and the beginning of its request; JSON has a document a line. No token and
no answer's body is shown. Tracing costs the instance's own packets some time, and ends with this command.

Examples:
  imdsctl trace i-0123456789abcdef0
  imdsctl trace i-0123456789abcdef0 --seconds 10 --output json";

/// Below `keys`.
pub(super) const KEYS: &str = "\
Examples:
  imdsctl keys rotate";

/// Below `keys rotate`.
pub(super) const KEYS_ROTATE: &str = "\
Two keys are good: the one that signs, and the one before it. So tokens survive one rotation, and end at the second.
A rotation that would end tokens before their time, within 6 hours after the last one, is refused; with --force, the
tokens of the key before the last rotation end at once. Keys outlive the daemon, never a reboot or `imdsd detach`.

Examples:
  imdsctl keys rotate
  imdsctl keys rotate --force";

/// Below `completions`.
pub(super) const COMPLETIONS: &str = "\
Examples:
  imdsctl completions bash > /etc/bash_completion.d/imdsctl";

/// Below `man`.
pub(super) const MAN: &str = "\
Examples:
  imdsctl man /usr/local/share/man/man1
  imdsctl man | man -l -";
