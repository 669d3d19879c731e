/* Documents that fetch a part of themselves from elsewhere when they are opened. */

rule template_from_bare_address
{
  meta:
    id = "BKL-OFF-0019"
    threat_name = "Exploit.RemoteTemplate"
    category = "exploit"
    severity = "high"
    confidence = "high"
    description = "A document whose template comes from a web address without a name, or is no template by its ending"
    reference = "https://attack.mitre.org/techniques/T1221/"
    false_positives = "templates on an internal server that is addressed by number"
  strings:
    $relation = /relationships\/(attachedTemplate|frame)"\s/ nocase
    $address = /Target="https?:\/\/(\d{1,3}\.){3}\d{1,3}[:\/]/ nocase
    $not_template = /attachedTemplate"\s{1,4}Target="https?:\/\/[^"\s?]{4,300}\/[^"\s?\/]{1,80}\.(html?|php|aspx?|jpe?g|png|gif|txt|dat|bin|tmp)["?]/ nocase
    $external = /TargetMode="External"/ nocase
  condition:
    filesize < 1MB and $relation and $external and ($address or $not_template)
}

rule template_from_network
{
  meta:
    id = "BKL-OFF-0020"
    threat_name = "Suspicious.RemoteTemplate"
    category = "suspicious"
    severity = "low"
    confidence = "medium"
    description = "A document whose template is fetched from a web server each time it is opened"
    reference = "https://attack.mitre.org/techniques/T1221/"
    false_positives = "templates of a company's document server"
  strings:
    $relation = /relationships\/attachedTemplate"\s{1,4}Target="https?:\/\/[^"]{4,400}"\s{1,4}TargetMode="External"/ nocase
  condition:
    filesize < 1MB and $relation
}

rule object_from_network_page
{
  meta:
    id = "BKL-OFF-0021"
    threat_name = "Exploit.RemoteObject"
    category = "exploit"
    severity = "high"
    confidence = "high"
    description = "A document with an embedded object that is really a web page, loaded when the document is opened"
    reference = "https://nvd.nist.gov/vuln/detail/CVE-2022-30190"
    false_positives = "none known: linked objects are documents"
  strings:
    $object = /relationships\/oleObject"\s{1,4}Target="(mhtml:|x-usc:)?https?:\/\/[^"]{4,400}(\.html?|\/)(!|\?[^"]{0,80}!)[^"]{0,200}"\s{1,4}TargetMode="External"/ nocase
    $web_page = /Target="mhtml:https?:\/\/[^"]{4,300}!x-usc:/ nocase
  condition:
    filesize < 1MB and any of them
}

rule page_calls_diagnostic_tool
{
  meta:
    id = "BKL-OFF-0022"
    threat_name = "Exploit.MSDT"
    category = "exploit"
    severity = "high"
    confidence = "high"
    description = "A page or document part that hands a command to the Windows diagnostic tool"
    reference = "https://nvd.nist.gov/vuln/detail/CVE-2022-30190"
    false_positives = "articles on the weakness that print a whole call"
  strings:
    $call = /ms-msdt:[\/\-\s]{0,4}(id\s{1,4})?[^\n]{0,80}PCWDiagnostic/ nocase
    $argument = /IT_(BrowseForFile|RebrowseForFile|LaunchMethod)=[^\n]{0,60}(\$\(|Invoke-Expression|\/\.\.\/)/ nocase
  condition:
    filesize < 1MB and all of them
}
