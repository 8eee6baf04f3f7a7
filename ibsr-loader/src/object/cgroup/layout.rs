// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether two programs agree on what is kept with a socket.

use ibsr_prove::digest_of;
use libbpf_rs::btf::types::{Array, Composite, Int, MemberAttr, Struct};
use libbpf_rs::btf::{Btf, BtfType, HasSize as _};

/// What a program of another layout would misread: names, offsets and sizes of the fields that
/// are kept with a socket.
pub(super) fn state_hash(btf: &Btf<'_>) -> Option<u64> {
    let mut fields = Vec::new();
    let of = Composite::from(btf.type_by_name::<Struct<'_>>("socket")?);
    describe_fields(btf, of, "socket", 0, &mut fields)?;
    let text = fields.join("\n");
    let digest = digest_of(std::iter::once(text.as_bytes()));
    Some(u64::from_le_bytes(*digest.first_chunk()?))
}

fn describe_fields(
    btf: &Btf<'_>,
    of: Composite<'_>,
    name: &str,
    at_bits: u32,
    fields: &mut Vec<String>,
) -> Option<()> {
    for member in of.iter() {
        let MemberAttr::Normal { offset } = member.attr else { return None };
        let name = format!("{name}.{}", member.name?.to_string_lossy());
        let ty = btf.type_by_id::<BtfType<'_>>(member.ty)?.skip_mods_and_typedefs();
        if let Ok(inner) = Composite::try_from(ty) {
            describe_fields(btf, inner, &name, at_bits + offset, fields)?;
            continue;
        }
        let size = match Int::try_from(ty) {
            Ok(int) => int.size(),
            Err(_) => Array::try_from(ty).ok()?.capacity(),
        };
        fields.push(format!("{name} {} {size}", at_bits + offset));
    }
    Some(())
}
