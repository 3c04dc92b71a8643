//! The texts below each command's `--help`: examples, and the exit codes.

/// Below `imdsctl --help`.
pub(super) const TOP: &str = "\
Exit codes:
  0  done
  1  anything else, such as no daemon answering, or a signature that is not good
  2  wrong usage or invalid input
  3  no such instance or value, or no such closed interface
  4  the id or the interface is taken, the instance is behind other interfaces, too many trace it, or a key rotation
     comes too soon
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
`imdsctl metadata schema` says what a document holds; whatever it leaves out is derived.

--metadata-options takes NAME=VALUE pairs with commas between them:
  HttpTokens               optional | required    (default optional)
  HttpPutResponseHopLimit  1 to 64                (default 1)
  HttpEndpoint             enabled | disabled     (default enabled)
  HttpProtocolIpv6         enabled | disabled     (default disabled)
  InstanceMetadataTags     enabled | disabled     (default disabled)

Examples:
  imdsctl instance create --interface tap0 --instance-id i-0123456789abcdef0 --private-ip 10.0.0.5
  imdsctl instance create --interface tap0 --private-ip 10.0.0.5 --allow-address 10.0.0.5
  imdsctl instance create --interface veth0 --tag Name=web --tag stage=test --user-data-file cloud-init.yaml
  imdsctl instance create --interface veth0 --iam-role web --metadata-options HttpTokens=required
  imdsctl instance create --interface veth0 --iam-role web --credentials-file web.json \\
      --metadata-options HttpTokens=required,HttpPutResponseHopLimit=2";

/// Below `instance update`.
pub(super) const INSTANCE_UPDATE: &str = "\
What the file leaves out stays as it is, null takes a value away, and a list is replaced as a whole. With --replace,
what it leaves out goes, but for credentials, and for what happens to the instance: events, spot and autoscaling.
The instance reads its old metadata or the new, never a mix. `imdsctl metadata schema` says what a document holds.

Examples:
  imdsctl instance update i-0123456789abcdef0 --document instance.json
  imdsctl instance update i-0123456789abcdef0 --document instance.json --replace";

/// Below `metadata`.
pub(super) const METADATA: &str = "\
Examples:
  imdsctl metadata get i-0123456789abcdef0
  imdsctl metadata set i-0123456789abcdef0 placement/group-name web";

/// Below `metadata get`.
pub(super) const METADATA_GET: &str = "\
Credentials and user data are not shown.

Examples:
  imdsctl metadata get i-0123456789abcdef0
  imdsctl metadata get i-0123456789abcdef0 network/interfaces/0/mac";

/// Below `metadata set`.
pub(super) const METADATA_SET: &str = "\
A number in a path is a place in a list; the place behind the last one appends. ~1 stands for a slash in a name.
With - as VALUE, user-data/text is all of standard input, byte by byte; other values are without its last line's end.

Examples:
  imdsctl metadata set i-0123456789abcdef0 tags/Name web
  imdsctl metadata set i-0123456789abcdef0 product-codes '[\"abc\"]'
  imdsctl metadata set i-0123456789abcdef0 iam/credentials - < role.json
  imdsctl metadata set i-0123456789abcdef0 user-data/text - < user-data.yaml";

/// Below `metadata unset`.
pub(super) const METADATA_UNSET: &str = "\
What is derived isn't set, so it can't be unset: set another value in its place.

Examples:
  imdsctl metadata unset i-0123456789abcdef0 tags/Name";

/// Below `metadata schema`.
pub(super) const METADATA_SCHEMA: &str = "\
Examples:
  imdsctl metadata schema > instance-document.schema.json";

/// Below `event`.
pub(super) const EVENT: &str = "\
Times are like 90s, 2m, 1h30m or 7d; a part of a second is a whole one. What happens appears in the metadata, and
disappears, in the very second. It outlives `apply` and `instance update --replace`, unless their document has events,
spot or autoscaling itself: then that holds, {} being nothing.

Examples:
  imdsctl event spot-interruption i-0123456789abcdef0 --in 2m
  imdsctl event clear i-0123456789abcdef0";

/// Below `event spot-interruption`.
pub(super) const EVENT_SPOT: &str = "\
spot/instance-action, and spot/termination-time for a termination, are there from two minutes before the time
until the time, which is at least a second from now.

Examples:
  imdsctl event spot-interruption i-0123456789abcdef0
  imdsctl event spot-interruption i-0123456789abcdef0 --in 10m --action stop";

/// Below `event rebalance`.
pub(super) const EVENT_REBALANCE: &str = "\
events/recommendations/rebalance is there from the time on.

Examples:
  imdsctl event rebalance i-0123456789abcdef0 --in 1m";

/// Below `event maintenance`.
pub(super) const EVENT_MAINTENANCE: &str = "\
It is in events/maintenance/scheduled at once, and in events/maintenance/history once it is over. What has no end (no
NotAfter) stays scheduled until `imdsctl event clear` cancels it, or its state is set to completed.

Examples:
  imdsctl event maintenance i-0123456789abcdef0 --in 2h --for 30m --code instance-reboot
  imdsctl event maintenance i-0123456789abcdef0 --in 7d --code instance-retirement
  imdsctl metadata set i-0123456789abcdef0 events/maintenance/0/state completed";

/// Below `event lifecycle`.
pub(super) const EVENT_LIFECYCLE: &str = "\
autoscaling/target-lifecycle-state has the state from the time on.

Examples:
  imdsctl event lifecycle i-0123456789abcdef0 Terminated --in 5m";

/// Below `event clear`.
pub(super) const EVENT_CLEAR: &str = "\
Examples:
  imdsctl event clear i-0123456789abcdef0";

/// Below `apply`.
pub(super) const APPLY: &str = "\
The file has {\"instances\": [...]}, each with instance-id, interfaces, attach (as --attach of `instance create`),
document, metadata-options and limits (allow-addresses, allow-macs, packet-budget, request-budget). An instance that
isn't there is created; one that is there gets the whole document, and the options, limits and way of attaching that are
named. Credentials, and the events, spot and autoscaling of the document, stay where it leaves them out. All is checked
before anything is done. Instances that the file doesn't name stay.

Examples:
  imdsctl apply -f instances.json --dry-run
  imdsctl apply -f instances.json";

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
Its tokens and open connections end with it. Its interfaces stay closed, so that the guest never falls through to a
service of the host's own provider, until another instance takes them, they vanish, or they are released: by --release
here, or later by `imdsctl interface release`.

Examples:
  imdsctl instance delete i-0123456789abcdef0
  imdsctl instance delete i-0123456789abcdef0 --release";

/// Below `interface`.
pub(super) const INTERFACE: &str = "\
Examples:
  imdsctl interface attach tap0 tc+xdp-generic
  imdsctl interface release tap0";

/// Below `interface attach`.
pub(super) const INTERFACE_ATTACH: &str = "\
tc judges every packet and is always there. XDP before it drops early what tc would drop anyway: forged and foreign
packets, other ports and protocols, what is over the budget. It saves the host work under a flood; on most interfaces
it costs some of the bulk traffic, which `cargo xtask bench bulk` measures. An interface takes one XDP program only.
`imdsctl instance show` says what is attached.

Examples:
  imdsctl interface attach tap0 tc+xdp
  imdsctl interface attach veth0 tc+xdp-generic
  imdsctl interface attach veth0 tc";

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

/// Below `limits`.
pub(super) const LIMITS: &str = "\
Examples:
  imdsctl limits show i-0123456789abcdef0
  imdsctl limits set i-0123456789abcdef0 --allow-address 10.0.0.5 --allow-mac 02:00:00:00:00:05";

/// Below `limits show`.
pub(super) const LIMITS_SHOW: &str = "\
They are in force while the state of the instance's options is `applied`.

Examples:
  imdsctl limits show i-0123456789abcdef0";

/// Below `limits set`.
pub(super) const LIMITS_SET: &str = "\
It returns when the kernel has the limits; one that is left out keeps its value, and a list that is given replaces the
one before. A budget of `default` is what the daemon's config says.

What comes to the service from another address, or another MAC, than those that are listed is dropped and counted as
dropped-forged: IPv4, IPv6, and questions for the service's MAC. A host that asks over IPv6 on its own link may do so
from its link-local address: list fe80::/10 too.

Examples:
  imdsctl limits set i-0123456789abcdef0 --allow-address 10.0.0.5 --allow-address 10.1.0.0/24
  imdsctl limits set i-0123456789abcdef0 --any-address --packet-budget 5000
  imdsctl limits set i-0123456789abcdef0 --request-budget default";

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

/// Below `explain`.
pub(super) const EXPLAIN: &str = "\
The daemon keeps the last 64 refusals and drops of each interface, from its start on, and no more than some ten a
second of the kernel's; counters have all, and the last line says how many more there were since the first one that is
shown. Where a source was forged, its MAC stands behind the address. No token is shown.

Examples:
  imdsctl explain i-0123456789abcdef0
  imdsctl explain i-0123456789abcdef0 --last 5 --output json";

/// Below `trace`.
pub(super) const TRACE: &str = "\
A packet a line: time, client, verdict, kind, and the beginning of its request; JSON has a document a line. Where packets
are missing, since too many came at once, a line says how many. No token and no answer's body is shown. Tracing costs the
instance's own packets some time, and ends with this command.

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
