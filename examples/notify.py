"""Send a message to a chat, or to whatever takes a webhook, when a dataset is on hold.

    export PREFECT_API_URL=http://127.0.0.1:4200/api
    NOTIFY_URL=https://hooks.example.org/services/... python examples/notify.py

It makes a block and an automation of Prefect's, for all datasets that this server hears of; the same again
brings them up to date. The address, which is a secret as a rule, is read from the environment, and the block
keeps it encrypted. Slack, Mattermost and Teams take messages of this form. Where an e-mail or another service
is meant, make a block of that kind and the action `SendNotification` in the place of `CallWebhook`.
"""

import os

from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events import EventTrigger
from prefect.events.actions import CallWebhook

NAME = "dataset-on-hold"
MESSAGE = """{"text": {{
    (event.payload.dataset ~ " is on hold: " ~ event.payload.reasons ~ ". Look at it, and let it through by "
     ~ "sdflow approve " ~ event.payload.dataset ~ " --why ... --store " ~ event.payload.store) | tojson
}} }"""
"""A template of Prefect's (Jinja); `tojson` makes a text of JSON of whatever stands in the reasons."""


def main() -> None:
    """Make the block and the automation, or bring them up to date."""
    headers = {"Content-Type": "application/json"}
    webhook = Webhook(url=os.environ["NOTIFY_URL"], headers=headers)
    block = webhook.save(NAME, overwrite=True)
    automation = Automation(
        name=NAME,
        trigger=EventTrigger(
            expect={"dataset.held"},
            match={"prefect.resource.id": "datasets/*"},  # of one project: also "sdflow.store", its store
            posture="Reactive",
            threshold=1,
        ),
        actions=[CallWebhook(block_document_id=block, payload=MESSAGE)],
    )
    try:
        automation.id = Automation.read(name=NAME).id
    except ValueError:
        automation.create()
    else:
        automation.update()


if __name__ == "__main__":
    main()
