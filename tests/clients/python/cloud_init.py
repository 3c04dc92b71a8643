"""Prints, as JSON, what cloud-init's crawl finds on an instance, and what it warns of."""

import json
import logging
import os
import sys

from cloudinit.helpers import Paths
from cloudinit.sources.DataSourceEc2 import CloudNames, DataSourceEc2


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


warnings = Warnings()
logging.getLogger().addHandler(warnings)
home = os.environ["HOME"]
# Its own settings of how long it waits for the service, and for each answer. They are the same, as with less than a
# second left of the first it would wait for an answer for ever.
config = {"datasource": {"Ec2": {"max_wait": 3, "timeout": 3}}}
source = DataSourceEc2(config, None, Paths({"run_dir": home, "cloud_dir": home}))
# What it would read from the machine's firmware.
source._cloud_name = CloudNames.AWS
seen = source._get_data()
found = {"found": seen, "warnings": warnings.texts}
if seen:
    found |= {
        "address": source.metadata_address,
        "instance-id": source.get_instance_id(),
        "region": source.region,
        "user-data": source.userdata_raw.decode(),
        "meta-data": source.metadata,
        "identity": source.identity,
    }
json.dump(found, sys.stdout)
