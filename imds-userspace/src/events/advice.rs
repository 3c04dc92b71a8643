//! What to change, so that a refusal or a drop doesn't happen again.

use imds_common::counters::Counter;

/// The advice for what a counter counts, under a hop limit; none where nothing went wrong.
#[must_use]
pub fn of(counter: Counter, hop_limit: Option<u8>) -> Option<String> {
    if counter == Counter::DroppedTimeExceeded {
        let limit = hop_limit.map_or_else(String::new, |limit| format!("{limit} "));
        return Some(format!(
            "HttpPutResponseHopLimit {limit}is too small for a client behind this instance: raise it, or let nothing behind it ask"
        ));
    }
    fixed(counter).map(str::to_owned)
}

const fn fixed(counter: Counter) -> Option<&'static str> {
    Some(match counter {
        Counter::Delivered
        | Counter::Answered
        | Counter::Limited
        | Counter::AnsweredNeighbour
        | Counter::Requests
        | Counter::TokensIssued
        | Counter::NoToken
        | Counter::TraceLost => return None,
        Counter::EventsLost => "more happened than is shown: `imdsctl stats` counts all of it",
        Counter::RefusedEndpointDisabled => "HttpEndpoint is disabled: enable it, or let the client not ask",
        Counter::RefusedMalformed => "the client sends no valid HTTP/1.0 or 1.1, or two different tokens: mend it",
        Counter::RefusedForwarded => {
            "the client asks through a proxy (X-Forwarded-For): exempt 169.254.169.254 from it"
        }
        Counter::RefusedTtlInvalid => {
            "the client asks for a token without a life of 1 to 21600 s: send X-aws-ec2-metadata-token-ttl-seconds"
        }
        Counter::RefusedTokenPathMethod => "tokens are asked for by PUT: mend the client",
        Counter::RefusedPutElsewhere => "PUT works on /latest/api/token only: mend the client's path",
        Counter::RefusedTreeMethod => "metadata is read by GET or HEAD: mend the client",
        Counter::RefusedTokenMissing => "the client sends no token: use IMDSv2, or set HttpTokens=optional",
        Counter::RefusedTokenInvalid => {
            "the token is expired, altered, another instance's, or of a rotated key: ask for a new one on 401"
        }
        Counter::RefusedHeadTooLarge => "the request's head is over 16 KiB: send fewer or shorter headers",
        Counter::RefusedTooManyConnections | Counter::DroppedFlows => {
            "the instance has too many connections open at once: reuse or close them"
        }
        Counter::RefusedTooManyRequests => {
            "the instance sends too many requests a second: let clients cache, or raise its budget"
        }
        Counter::DroppedUnowned => "the interface belongs to no instance: create one on it, or release it",
        Counter::DroppedIpv6 => "HttpProtocolIpv6 is disabled: enable it, or ask over IPv4",
        Counter::DroppedProtocol => "the service speaks TCP only: ask by HTTP on port 80",
        Counter::DroppedPort => "the service is on port 80 only: mend the client's URL",
        Counter::DroppedFragment => "fragments aren't taken: let the guest send whole packets",
        Counter::DroppedIpOptions => "IP options aren't taken: let the guest send none",
        Counter::DroppedExtension => "IPv6 extension headers aren't taken: let the guest send none",
        Counter::DroppedTruncated => {
            "the packet is cut short or contradicts itself: look at the guest's network driver"
        }
        Counter::DroppedVlan => {
            "VLAN tags and SNAP headers aren't taken: let the guest send untagged Ethernet frames to the service"
        }
        Counter::DroppedPlaces => {
            "too many clients are behind the interface at once: let fewer ask, or wait until some are idle"
        }
        Counter::DroppedAfterRefusal => "the client sent on after it was refused: see the refusal before",
        Counter::DroppedSilently => "refusals are silent on this host (on-refuse = \"drop\"): see the refusal before",
        Counter::DroppedHelper => {
            "the host's kernel could not change the packet: look at its memory, and at imdsd's log"
        }
        Counter::DroppedReplyStray | Counter::DroppedReplyGeneration | Counter::DroppedReplyPlace => {
            "an answer had no receiver any more: nothing, if the client or the instance is gone"
        }
        Counter::DroppedReplyRefused => {
            "imdsd answered what the kernel had refused already: nothing, the client has its answer"
        }
        Counter::DroppedReplyLate => "the client sent on after the last answer: nothing, it has that answer",
        Counter::DroppedSource => "no host can have that source address: mend the guest's network",
        Counter::DroppedForged => {
            "the instance lists other addresses or MACs: find out who sends from this one, or list it too"
        }
        Counter::DroppedImpersonation => "the guest claims an address of the service's: find out which program does",
        Counter::DroppedBudget => {
            "the instance sends too many packets a second: let clients cache, or raise its budget"
        }
        Counter::DroppedTimeExceeded => "HttpPutResponseHopLimit is too small for a client behind this instance",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_and_drop_has_its_advice_on_one_line() {
        for &counter in Counter::ALL {
            let went_wrong = ["refused-", "dropped-", "events-"].iter().any(|kind| counter.as_str().starts_with(kind));
            let advice = of(counter, None);
            assert_eq!(advice.is_some(), went_wrong, "{}", counter.as_str());
            assert!(advice.is_none_or(|text| text.len() > 20 && text.is_ascii() && !text.contains('\n')));
        }
    }

    #[test]
    fn a_hop_limit_that_is_too_small_is_named() {
        let advice = of(Counter::DroppedTimeExceeded, Some(1)).expect("there");
        assert!(
            advice.starts_with("HttpPutResponseHopLimit 1 is too small for a client behind this instance"),
            "{advice}"
        );
    }
}
