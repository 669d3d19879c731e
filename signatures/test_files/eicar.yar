/*
  The industry's test file. It does nothing; every scanner reports it as if it were a threat, so that people can see
  that protection works. Written as hex so that this file is not one itself.
*/

private rule eicar_string
{
  strings:
    $eicar = {
      58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D
      24 45 49 43 41 52 2D 53 54 41 4E 44 41 52 44 2D 41 4E 54 49 56 49 52 55 53 2D 54 45 53 54 2D 46 49 4C 45
      21 24 48 2B 48 2A
    }
  condition:
    $eicar
}

rule eicar_test_file
{
  meta:
    id = "BKL-TEST-0001"
    threat_name = "EICAR-Test-File"
    category = "test"
    severity = "high"
    confidence = "certain"
    description = "The EICAR test file: its 68 bytes at the start, then at most 60 of white space"
    reference = "https://www.eicar.org/download-anti-malware-testfile/"
    false_positives = "none: nothing else begins like this and ends there"
  strings:
    $start = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D }
  condition:
    filesize >= 68 and filesize <= 128 and $start at 0 and eicar_string and
    (
      filesize == 68 or
      for all i in (68..filesize - 1) :
        (uint8(i) == 0x20 or uint8(i) == 0x09 or uint8(i) == 0x0A or uint8(i) == 0x0D or uint8(i) == 0x1A)
    )
}

rule eicar_embedded
{
  meta:
    id = "BKL-TEST-0002"
    threat_name = "EICAR-Test-File.Embedded"
    category = "test"
    severity = "high"
    confidence = "high"
    description = "The EICAR string inside a larger file, such as a document or an archive that stores it unpacked"
    reference = "https://www.eicar.org/download-anti-malware-testfile/"
    false_positives = "texts and test suites about anti-malware software that quote the string whole"
  condition:
    eicar_string and not eicar_test_file
}
