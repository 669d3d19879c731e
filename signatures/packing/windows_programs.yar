/* Windows programs that are packed in unusual ways. Suspicious, never more: much honest software is packed. */

import "math"

import "pe"

rule upx_with_other_section_names
{
  meta:
    id = "BKL-PAC-0001"
    threat_name = "Suspicious.Packed.UPX.Renamed"
    category = "packer"
    severity = "low"
    confidence = "medium"
    description = "A program packed like UPX does it, with other names for its sections, so that UPX cannot unpack it"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
    false_positives = "programs of other packers with the same layout"
  condition:
    uint16(0) == 0x5A4D and filesize < 32MB and pe.number_of_sections >= 2 and pe.number_of_sections <= 5 and
    pe.sections[0].raw_data_size == 0 and pe.sections[0].virtual_size >= 4096 and
    pe.sections[0].characteristics & 0xA0000000 == 0xA0000000 and pe.sections[1].characteristics & 0x20000000 != 0 and
    pe.entry_point >= pe.sections[1].raw_data_offset and
    pe.entry_point < pe.sections[1].raw_data_offset + pe.sections[1].raw_data_size and
    math.entropy(pe.sections[1].raw_data_offset, pe.sections[1].raw_data_size) > 7.0 and not pe.sections[0].name == "UPX0"
}

rule program_with_script_behind_it
{
  meta:
    id = "BKL-PAC-0002"
    threat_name = "Suspicious.Overlay.Script"
    category = "packer"
    severity = "low"
    confidence = "medium"
    description = "A program with a script appended behind its end that starts an interpreter"
    reference = "https://attack.mitre.org/techniques/T1027/009/"
    false_positives = "self-extracting installers that carry their script there"
  strings:
    $script = /\b(powershell(\.exe)?\s{1,4}-|WScript\.Shell|FromBase64String\s{0,2}\(|<hta:application|cmd(\.exe)?\s{1,4}\/c\s)/ nocase
  condition:
    uint16(0) == 0x5A4D and filesize < 32MB and pe.overlay.offset > 0 and pe.overlay.size < 1MB and $script in (pe.overlay.offset..filesize)
}

rule dense_code_and_few_imports
{
  meta:
    id = "BKL-PAC-0003"
    threat_name = "Suspicious.Packed.Dense"
    category = "packer"
    severity = "low"
    confidence = "medium"
    description = "A program whose code is compressed or encrypted and which imports next to nothing"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
    false_positives = "packed installers and games"
  condition:
    uint16(0) == 0x5A4D and filesize < 32MB and pe.number_of_imported_functions > 0 and pe.number_of_imported_functions <= 6 and
    not pe.imports("mscoree.dll") and
    for any section in pe.sections : (
      section.characteristics & 0x20000000 != 0 and section.raw_data_size >= 1024 and
      math.entropy(section.raw_data_offset, section.raw_data_size) > 7.4
    )
}

rule protector_section_names
{
  meta:
    id = "BKL-PAC-0004"
    threat_name = "Suspicious.Packed.Protector"
    category = "packer"
    severity = "low"
    confidence = "high"
    description = "A program with the sections of a commercial protector that hides code from analysis"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
    false_positives = "games and commercial software use these protectors"
  condition:
    uint16(0) == 0x5A4D and filesize < 128MB and
    for any section in pe.sections : (
      section.name == ".vmp0" or section.name == ".vmp1" or section.name == ".themida" or section.name == ".winlice" or
      section.name == ".enigma1" or section.name == ".enigma2" or section.name == ".aspack" or section.name == ".MPRESS1" or
      section.name == ".petite" or section.name == "PELOCKnt" or section.name == ".nsp0" or section.name == ".boom"
    )
}

rule starts_in_writable_last_section
{
  meta:
    id = "BKL-PAC-0005"
    threat_name = "Suspicious.Entry.LastSection"
    category = "packer"
    severity = "low"
    confidence = "medium"
    description = "A program that starts in its last section, which it may also write: how parasites and packers attach themselves"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
    false_positives = "programs of rare packers"
  condition:
    uint16(0) == 0x5A4D and filesize < 32MB and pe.number_of_sections >= 3 and
    pe.sections[pe.number_of_sections - 1].characteristics & 0xA0000000 == 0xA0000000 and
    pe.sections[0].characteristics & 0x20000000 != 0 and pe.sections[0].raw_data_size > 0 and
    pe.entry_point >= pe.sections[pe.number_of_sections - 1].raw_data_offset and
    pe.entry_point < pe.sections[pe.number_of_sections - 1].raw_data_offset + pe.sections[pe.number_of_sections - 1].raw_data_size
}

rule compiled_autoit_script
{
  meta:
    id = "BKL-PAC-0006"
    threat_name = "Suspicious.AutoIt"
    category = "packer"
    severity = "low"
    confidence = "high"
    description = "A program that carries a compiled AutoIt script"
    reference = "https://attack.mitre.org/techniques/T1059/010/"
    false_positives = "administration tools written in AutoIt"
  strings:
    $script = /\xa3\x48\x4b\xbe\x98\x6c\x4a\xa9\x99\x4c\x53\x0a\x86\xd6\x48\x7d/
    $kind = /AU3!EA0[5-9]/
  condition:
    uint16(0) == 0x5A4D and filesize < 64MB and all of them
}

rule dotnet_confuser_mark
{
  meta:
    id = "BKL-PAC-0007"
    threat_name = "Suspicious.Packed.Confuser"
    category = "packer"
    severity = "low"
    confidence = "high"
    description = "A .NET program treated with an obfuscator that is popular with authors of malware"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
    false_positives = "open-source and commercial programs protected with it"
  strings:
    $runtime = "mscoree.dll" nocase
    $attribute = "ConfusedByAttribute"
    $version = /(ConfuserEx|Confuser\.Core|Confuser) v?\d\.\d/
  condition:
    uint16(0) == 0x5A4D and filesize < 64MB and $runtime and any of ($attribute, $version)
}
