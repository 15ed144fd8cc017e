//! Buckets: reading who is linked from one, and keeping this agent's own links where they belong.
//!
//! Own links are read from the own chain, so that nothing is drawn twice because the network is slow to say what is there.

use crate::find::{me, refuse};
use crate::node::OwnCapability;
use ainonymous_types::{
    limits, AnyLinkableHash, BucketMember, BucketQuery, EntryHash, OwnPlaces, Place, PlacesInput, TimestampUs, Topic,
    TopicDepth,
};
use ainonymous_verify::buckets;
use ainonymous_verify::rules::LinkKind;
use ainonymous_verify::Breach;
use hdk::prelude::*;
use inference_integrity::LinkTypes;

/// Who is linked from a bucket, each once, with the newest link: only links that their author may draw there, and that are
/// neither too old nor from the future. Of more than [`limits::BUCKET_LISTED_MAX`] some at random.
#[hdk_extern]
pub fn get_bucket(query: BucketQuery) -> ExternResult<Vec<BucketMember>> {
    let BucketQuery { topic, place, not_before } = query;
    let base = base(&topic, place)?;
    // Whoever answers filters too: links of earlier days are not sent.
    let links = LinkQuery::try_new(base, link_type(&topic))?.after(Timestamp::from_micros(not_before));
    let mut links = get_links(links, GetStrategy::Network)?;
    let latest = sys_time()?.as_micros().saturating_add(limits::LINK_AHEAD_US_MAX);
    links.sort_by_key(|link| (link.author.clone(), std::cmp::Reverse(link.timestamp)));
    links.dedup_by(|later, first| later.author == first.author);
    let mut members: Vec<BucketMember> = links
        .into_iter()
        .filter(|link| (not_before..=latest).contains(&link.timestamp.as_micros()))
        .filter(|link| link.tag.0 == [place.depth] && buckets::place(&topic, &link.author, place.depth) == Some(place))
        .filter_map(|link| {
            let linked_at = link.timestamp.as_micros();
            let capability = link.target.into_action_hash()?;
            Some(BucketMember { agent: link.author, capability, linked_at })
        })
        .collect();
    if members.len() > limits::BUCKET_LISTED_MAX {
        let dice = random_bytes(4)?.into_vec().into_iter().fold(0usize, |sum, byte| sum << 8 | usize::from(byte));
        let len = members.len();
        members.rotate_left(dice % len);
        members.truncate(limits::BUCKET_LISTED_MAX);
    }
    Ok(members)
}

/// Under which of these topics this agent is linked, and how deep.
#[hdk_extern]
pub fn get_my_places(topics: Vec<Topic>) -> ExternResult<OwnPlaces> {
    let (me, links) = (me()?, own_links()?);
    let mut found = Vec::new();
    for topic in topics {
        let mut deepest = None;
        for link in links.iter().filter(|link| link.kind == buckets::link_kind(&topic)) {
            let Some(place) = buckets::place(&topic, &me, link.depth) else { continue };
            if link.base == base(&topic, place)?.into() {
                deepest = deepest.max(Some(link.depth));
            }
        }
        // At each depth but the last there is a link one deeper as well.
        found.extend(deepest.map(|deepest: u8| TopicDepth { topic, depth: deepest.saturating_sub(1) }));
    }
    Ok(OwnPlaces { topics: found, drawn: 0, removed: 0 })
}

/// Draws the links by which this agent is found under these topics, those that are missing and those that are old, and removes
/// others that somebody might still look at. Old ones are not removed: nobody looks at them, and removing them would cost as much
/// as drawing them did.
#[hdk_extern]
pub fn put_places(input: PlacesInput) -> ExternResult<OwnPlaces> {
    let PlacesInput { topics, renew_before, not_before } = input;
    let Some(current) = OwnCapability::find()?.current else { return remove_all(not_before) };
    let offered = buckets::topics(&current.capability);
    let me = me()?;
    let mut wanted: Vec<(AnyLinkableHash, LinkTypes, u8)> = Vec::new();
    for TopicDepth { topic, depth } in &topics {
        if !offered.contains(topic) {
            return Err(refuse(Breach::SpecNotListed));
        }
        for place in buckets::places(topic, &me, *depth) {
            wanted.push((base(topic, place)?.into(), link_type(topic), place.depth));
        }
    }
    let links = own_links()?;
    let leads_there = |link: &OwnLink| current.versions.contains(&link.target);
    let mut done = OwnPlaces { topics, drawn: 0, removed: 0 };
    for link in links.iter().filter(|link| link.drawn_at >= not_before) {
        let is_wanted = wanted.iter().any(|(base, _, depth)| *base == link.base && *depth == link.depth);
        if !(is_wanted && leads_there(link)) {
            delete_link(link.action.clone(), GetOptions::local())?;
            done.removed += 1;
        }
    }
    for (base, kind, depth) in wanted {
        let is_there = |link: &OwnLink| {
            link.base == base && link.depth == depth && link.drawn_at >= renew_before && leads_there(link)
        };
        if !links.iter().any(is_there) {
            create_link(base, current.newest.clone(), kind, vec![depth])?;
            done.drawn += 1;
        }
    }
    Ok(done)
}

/// Removes every link of this agent from a bucket that somebody might still look at.
pub(crate) fn remove_all(not_before: TimestampUs) -> ExternResult<OwnPlaces> {
    let links = own_links()?;
    let mut done = OwnPlaces { topics: Vec::new(), drawn: 0, removed: 0 };
    for link in links.into_iter().filter(|link| link.drawn_at >= not_before) {
        delete_link(link.action, GetOptions::local())?;
        done.removed += 1;
    }
    Ok(done)
}

/// A link from a bucket that this agent drew and has not removed.
struct OwnLink {
    action: ActionHash,
    kind: LinkKind,
    base: AnyLinkableHash,
    depth: u8,
    target: ActionHash,
    drawn_at: TimestampUs,
}

fn own_links() -> ExternResult<Vec<OwnLink>> {
    let kinds = [LinkTypes::BucketToProvider, LinkTypes::BucketToRouter].map(ScopedLinkType::try_from);
    let [to_provider, to_router] = kinds;
    let (to_provider, to_router) = (to_provider?, to_router?);
    let removed: HashSet<ActionHash> = query(ChainQueryFilter::new().action_type(ActionType::DeleteLink))?
        .iter()
        .filter_map(|record| match &record.action().data {
            ActionData::DeleteLink(removal) => Some(removal.link_add_address.clone()),
            _ => None,
        })
        .collect();
    let mut links = Vec::new();
    for record in query(ChainQueryFilter::new().action_type(ActionType::CreateLink))? {
        let ActionData::CreateLink(link) = &record.action().data else { continue };
        let scoped = ScopedLinkType { zome_index: link.zome_index, zome_type: link.link_type };
        let kind = match scoped {
            scoped if scoped == to_provider => LinkKind::BucketToProvider,
            scoped if scoped == to_router => LinkKind::BucketToRouter,
            _ => continue,
        };
        let (Some(target), [depth]) = (link.target_address.clone().into_action_hash(), link.tag.0.as_slice()) else {
            continue;
        };
        if !removed.contains(record.action_address()) {
            links.push(OwnLink {
                action: record.action_address().clone(),
                kind,
                base: link.base_address.clone(),
                depth: *depth,
                target,
                drawn_at: record.action().timestamp().as_micros(),
            });
        }
    }
    Ok(links)
}

pub(crate) fn base(topic: &Topic, place: Place) -> ExternResult<EntryHash> {
    Path::from(buckets::path(topic, place)).path_entry_hash()
}

fn link_type(topic: &Topic) -> LinkTypes {
    match topic {
        Topic::Providers(_) => LinkTypes::BucketToProvider,
        Topic::Routers | Topic::Router(_) => LinkTypes::BucketToRouter,
    }
}
