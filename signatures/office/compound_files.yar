/* The binary format of Office. */

rule package_with_program
{
  meta:
    id = "BKL-OFF-0027"
    threat_name = "Dropper.OLE.Package"
    category = "dropper"
    severity = "medium"
    confidence = "high"
    description = "An Office document with a packaged program or script that a click starts"
    reference = "https://attack.mitre.org/techniques/T1204/002/"
    false_positives = "manuals that come with a program inside"
  strings:
    $stream = "\x01Ole10Native" wide
    $package = /\x02\x00[^\x00]{1,80}\.(exe|scr|com|cpl|jse?|vbs|vbe|hta|bat|cmd|lnk|wsf|ps1|jar)\x00[^\x00]{3,260}\x00\x00\x00\x03\x00/ nocase
  condition:
    uint32be(0) == 0xD0CF11E0 and filesize < 64MB and all of them
}

rule macros_without_source
{
  meta:
    id = "BKL-OFF-0028"
    threat_name = "Suspicious.VBA.Stomped"
    category = "suspicious"
    severity = "low"
    confidence = "medium"
    description = "A macro project with compiled code but without the source of any module"
    reference = "https://attack.mitre.org/techniques/T1564/007/"
    false_positives = "damaged documents; projects that old tools wrote"
  strings:
    $project = "_VBA_PROJECT" wide
    $module = "PROJECTwm" wide
    $compiled = "VBE7.DLL" wide nocase
    // How every compressed module begins.
    $source = "\x00Attribut"
  condition:
    uint32be(0) == 0xD0CF11E0 and filesize < 16MB and $project and ($module or $compiled) and not $source
}

rule document_embeds_program
{
  meta:
    id = "BKL-OFF-0029"
    threat_name = "Suspicious.OLE.Program"
    category = "suspicious"
    severity = "low"
    confidence = "medium"
    description = "An Office document with a Windows program inside that is not packaged as one"
    reference = "https://attack.mitre.org/techniques/T1027/009/"
    false_positives = "installers and add-ins kept in a document; MSI packages do not match"
  strings:
    $word = "WordDocument" wide
    $excel = "Workbook" wide
    $slides = "PowerPoint Document" wide
    $program = /MZ[\x00-\xff]{58}[\x40-\xff][\x00-\x03]\x00\x00[\x00-\xff]{8,64}This program (cannot|must) be run /
  condition:
    uint32be(0) == 0xD0CF11E0 and filesize < 32MB and $program and any of ($word, $excel, $slides)
}
