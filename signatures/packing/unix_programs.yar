/* ELF programs that are packed or stripped of what tools need to read them. Suspicious, never more. */

rule elf_packed_with_upx
{
  meta:
    id = "BKL-PAC-0008"
    threat_name = "Suspicious.Packed.UPX.ELF"
    category = "packer"
    severity = "info"
    confidence = "high"
    description = "A Linux program packed with UPX"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
    false_positives = "small command-line tools are distributed this way"
  strings:
    $magic = "UPX!"
    $info = "$Info: This file is packed with the UPX executable packer"
  condition:
    uint32be(0) == 0x7F454C46 and filesize < 64MB and
    ((uint8(4) == 2 and uint16(0x3C) == 0) or (uint8(4) == 1 and uint16(0x30) == 0)) and all of them
}

rule elf_altered_upx
{
  meta:
    id = "BKL-PAC-0009"
    threat_name = "Suspicious.Packed.UPX.ELF.Altered"
    category = "packer"
    severity = "low"
    confidence = "high"
    description = "A Linux program packed with UPX whose marks were removed, so that UPX cannot unpack it"
    reference = "https://attack.mitre.org/techniques/T1027/002/"
    false_positives = "none known: nobody but authors of malware removes the marks"
  strings:
    $magic = "UPX!"
    $stub = "PROT_EXEC|PROT_WRITE failed."
    $info = "$Info: This file is packed"
    $self = "/proc/self/exe"
  condition:
    uint32be(0) == 0x7F454C46 and filesize < 16MB and
    ((uint8(4) == 2 and uint16(0x3C) == 0) or (uint8(4) == 1 and uint16(0x30) == 0)) and not $magic and any of ($stub, $info) and ($self or $stub)
}

rule elf_single_open_segment
{
  meta:
    id = "BKL-PAC-0010"
    threat_name = "Suspicious.ELF.Stager"
    category = "packer"
    severity = "low"
    confidence = "high"
    description = "A tiny Linux program of one segment that may be read, written and executed: the form in which code for exploits is generated"
    reference = "https://attack.mitre.org/techniques/T1027/"
    false_positives = "exercises in writing small programs"
  condition:
    uint32be(0) == 0x7F454C46 and filesize < 8KB and
    ((uint8(4) == 2 and uint16(0x3C) == 0 and uint16(0x38) == 1 and uint32(0x40) == 1 and uint32(0x44) == 7) or
     (uint8(4) == 1 and uint16(0x30) == 0 and uint16(0x2C) == 1 and uint32(0x34) == 1 and uint32(0x4C) == 7))
}
