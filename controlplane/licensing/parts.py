"""The rooms of licensing, as its use cases share them."""

from dataclasses import dataclass

from controlplane.devices.registry import DeviceRegistry
from controlplane.licensing.allotments import Allotments
from controlplane.licensing.issuing import EntitlementIssuer
from controlplane.licensing.keys import ActivationKeys
from controlplane.licensing.licences import DeviceLicences
from controlplane.licensing.ports import Notices, Terms
from controlplane.licensing.seating import Seating
from controlplane.licensing.seats import Seats


@dataclass(frozen=True, slots=True)
class LicensingParts:
    """Built in `app.py`."""

    registry: DeviceRegistry
    keys: ActivationKeys
    allotments: Allotments
    seats: Seats
    seating: Seating
    terms: Terms
    issuer: EntitlementIssuer
    licences: DeviceLicences
    notices: Notices
