/* Rich text with objects that act without being asked. `{\\rt` is all that Word checks. */

rule rich_text_equation_object
{
  meta:
    id = "BKL-OFF-0023"
    threat_name = "Exploit.RTF.Equation"
    category = "exploit"
    severity = "high"
    confidence = "high"
    description = "Rich text that makes Word load an equation object by itself, the way to CVE-2017-11882"
    reference = "https://nvd.nist.gov/vuln/detail/CVE-2017-11882"
    false_positives = "none known: editors of equations do not ask for an update on loading"
  strings:
    $update = /\\obj(update|autlink|link)\b/ nocase
    $data = /\\\*?\\?objdata\b/ nocase
    $class = /4571756174696f6e2e33|02ce020000000000c000000000000046/ nocase
    $named = /\\objclass\s{1,4}Equation\.3/ nocase
  condition:
    uint32be(0) == 0x7B5C7274 and filesize < 8MB and $update and $data and ($class or $named)
}

rule rich_text_package_with_program
{
  meta:
    id = "BKL-OFF-0024"
    threat_name = "Dropper.RTF.Package"
    category = "dropper"
    severity = "medium"
    confidence = "high"
    description = "Rich text with a packaged program or script"
    reference = "https://attack.mitre.org/techniques/T1204/002/"
    false_positives = "manuals that come with an installer inside"
  strings:
    $data = /\\objdata\b/ nocase
    $package = "5061636b61676500" nocase
    // Ending of a file name in the package: .exe .scr .js .jse .vbs .hta .bat .cmd .lnk .wsf .ps1 .cpl
    $name = /2e(657865|736372|6a7300|6a7365|766273|687461|626174|636d64|6c6e6b|777366|707331|63706c)00/ nocase
  condition:
    uint32be(0) == 0x7B5C7274 and filesize < 16MB and all of them
}

rule rich_text_remote_template
{
  meta:
    id = "BKL-OFF-0025"
    threat_name = "Exploit.RTF.RemoteTemplate"
    category = "exploit"
    severity = "medium"
    confidence = "high"
    description = "Rich text whose template is fetched from the network when it is opened"
    reference = "https://attack.mitre.org/techniques/T1221/"
    false_positives = "letters written from a template on a document server"
  strings:
    $template = /\{\\\*\\template\s{1,4}(https?:\/\/|\\\\\\\\\d)/ nocase
    $escaped = /\{\\\*\\template\s{1,4}(\\u-?\d{1,5}\s{0,2}\??\s{0,2}){6}/ nocase
  condition:
    uint32be(0) == 0x7B5C7274 and filesize < 16MB and any of them
}

rule rich_text_scattered_object
{
  meta:
    id = "BKL-OFF-0026"
    threat_name = "Suspicious.RTF.Scattered"
    category = "suspicious"
    severity = "low"
    confidence = "medium"
    description = "Rich text that scatters control words or groups between the digits of an object"
    reference = "https://attack.mitre.org/techniques/T1027/"
    false_positives = "damaged files"
  strings:
    $groups = /\\objdata[^}]{0,40}[0-9a-f\s]{1,60}(\{\\\*?\\?[a-z0-9]{1,32}[^{}]{0,32}\}\s{0,4}[0-9a-f\s]{1,60}){3}/ nocase
    $words = /\\objdata[^}]{0,40}\s{0,4}([0-9a-f]{1,60}\\(bin0|par|[a-z]{5,32}\d{0,8})\s{0,4}){3}/ nocase
  condition:
    uint32be(0) == 0x7B5C7274 and filesize < 16MB and any of them
}
