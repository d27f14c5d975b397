/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_nic.c - the description of a network card in an info
 *
 * MPI libraries look at all three parts of it without asking whether they are
 * there, so there are always all three. A device that is not on the PCI bus
 * says so.
 */
#include "fi/efa.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything but the texts in one piece, so that there is one free(). */
struct nic {
	struct fid_nic fid;
	struct fi_device_attr device;
	struct fi_bus_attr bus;
	struct fi_link_attr link;
};

static int nic_close(struct fid *fid)
{
	struct nic *nic = u_container_of(fid, struct nic, fid.fid);

	free(nic->device.name);
	free(nic->device.device_id);
	free(nic->device.device_version);
	free(nic->device.vendor_id);
	free(nic->device.driver);
	free(nic->device.firmware);
	free(nic->link.address);
	free(nic->link.network_type);
	free(nic);
	return 0;
}

static int nic_control(struct fid *fid, int command, void *arg);

static const char *text(const char *may_be_null)
{
	return may_be_null ? may_be_null : "(null)";
}

static void bus_tostr(const struct fi_bus_attr *bus, char *buf, size_t len)
{
	if (bus->bus_type != FI_BUS_PCI)
		snprintf(buf, len, "        bus_type: FI_BUS_UNSPEC\n");
	else
		snprintf(buf, len,
			 "        bus_type: FI_BUS_PCI\n"
			 "        fi_pci_attr:\n"
			 "            domain_id: %u\n"
			 "            bus_id: %u\n"
			 "            device_id: %u\n"
			 "            function_id: %u\n",
			 bus->attr.pci.domain_id, bus->attr.pci.bus_id,
			 bus->attr.pci.device_id, bus->attr.pci.function_id);
}

/* Behind what is in buf already: libfabric puts a whole info together. */
static int nic_tostr(const struct fid *fid, char *buf, size_t len)
{
	const struct nic *nic = u_container_of(fid, struct nic, fid.fid);
	static const char *const states[] = {
		[FI_LINK_UNKNOWN] = "FI_LINK_UNKNOWN",
		[FI_LINK_DOWN] = "FI_LINK_DOWN",
		[FI_LINK_UP] = "FI_LINK_UP",
	};
	size_t used = strnlen(buf, len);
	char bus[160];

	bus_tostr(&nic->bus, bus, sizeof(bus));
	snprintf(buf + used, len - used,
		 "nic:\n"
		 "    fi_device_attr:\n"
		 "        name: %s\n"
		 "        device_id: %s\n"
		 "        device_version: %s\n"
		 "        vendor_id: %s\n"
		 "        driver: %s\n"
		 "        firmware: %s\n"
		 "    fi_bus_attr:\n"
		 "%s"
		 "    fi_link_attr:\n"
		 "        address: %s\n"
		 "        mtu: %zu\n"
		 "        speed: %zu\n"
		 "        state: %s\n"
		 "        network_type: %s\n",
		 nic->device.name, nic->device.device_id,
		 text(nic->device.device_version), nic->device.vendor_id,
		 nic->device.driver, text(nic->device.firmware), bus,
		 nic->link.address, nic->link.mtu, nic->link.speed,
		 states[nic->link.state], nic->link.network_type);
	return 0;
}

static struct fi_ops nic_ops = {
	.size = sizeof(struct fi_ops),
	.close = nic_close,
	.bind = efa_nosys_bind,
	.control = nic_control,
	.ops_open = efa_nosys_ops_open,
	.tostr = nic_tostr,
	.ops_set = efa_nosys_ops_set,
};

static struct nic *nic_alloc(void)
{
	struct nic *nic = calloc(1, sizeof(*nic));

	if (!nic)
		return NULL;
	nic->fid.fid.fclass = FI_CLASS_NIC;
	nic->fid.fid.ops = &nic_ops;
	nic->fid.device_attr = &nic->device;
	nic->fid.bus_attr = &nic->bus;
	nic->fid.link_attr = &nic->link;
	return nic;
}

/* Copies a text that may be NULL; false without memory. */
static bool copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

static int nic_dup(const struct nic *from, struct fid_nic **out)
{
	struct nic *nic = nic_alloc();

	if (!nic)
		return -FI_ENOMEM;
	nic->bus = from->bus;
	nic->link.mtu = from->link.mtu;
	nic->link.speed = from->link.speed;
	nic->link.state = from->link.state;
	if (!copy(&nic->device.name, from->device.name) ||
	    !copy(&nic->device.device_id, from->device.device_id) ||
	    !copy(&nic->device.device_version, from->device.device_version) ||
	    !copy(&nic->device.vendor_id, from->device.vendor_id) ||
	    !copy(&nic->device.driver, from->device.driver) ||
	    !copy(&nic->device.firmware, from->device.firmware) ||
	    !copy(&nic->link.address, from->link.address) ||
	    !copy(&nic->link.network_type, from->link.network_type)) {
		nic_close(&nic->fid.fid);
		return -FI_ENOMEM;
	}
	*out = &nic->fid;
	return 0;
}

/* fi_dupinfo() copies a nic by this command. */
static int nic_control(struct fid *fid, int command, void *arg)
{
	if (command != FI_DUP)
		return -FI_ENOSYS;
	return nic_dup(u_container_of(fid, struct nic, fid.fid), arg);
}

/* What there is to say of a card; a software device has none. */
static bool fill_device(struct fi_device_attr *attr, const struct dev_info *dev)
{
	const struct dev_card *card = &dev->card;
	char id[16], vendor[16], revision[16];
	bool real = card->vendor != 0;

	snprintf(id, sizeof(id), "0x%x", real ? card->part : dev->version);
	snprintf(vendor, sizeof(vendor), "0x%x", card->vendor);
	snprintf(revision, sizeof(revision), "%u", card->revision);
	return copy(&attr->name, dev->name) && copy(&attr->device_id, id) &&
	       copy(&attr->device_version, real ? revision : NULL) &&
	       copy(&attr->vendor_id, vendor) &&
	       copy(&attr->driver, *card->driver ? card->driver : "software") &&
	       copy(&attr->firmware, real ? card->firmware : NULL);
}

static void fill_bus(struct fi_bus_attr *bus, const struct dev_card *card)
{
	bus->bus_type = card->has_pci ? FI_BUS_PCI : FI_BUS_UNSPEC;
	if (!card->has_pci)
		return;
	bus->attr.pci.domain_id = card->pci_domain;
	bus->attr.pci.bus_id = card->pci_bus;
	bus->attr.pci.device_id = card->pci_slot;
	bus->attr.pci.function_id = card->pci_function;
}

struct fid_nic *efa_nic_new(const struct dev_info *dev)
{
	char address[8 + INET6_ADDRSTRLEN] = "EFA-";
	struct nic *nic = nic_alloc();

	if (!nic)
		return NULL;
	inet_ntop(AF_INET6, dev->gid, address + strlen(address),
		  INET6_ADDRSTRLEN);
	fill_bus(&nic->bus, &dev->card);
	nic->link.mtu = dev->link_mtu ? dev->link_mtu : dev->mtu;
	nic->link.speed = dev->speed;
	nic->link.state = dev->up ? FI_LINK_UP : FI_LINK_DOWN;
	if (!fill_device(&nic->device, dev) ||
	    !copy(&nic->link.address, address) ||
	    !copy(&nic->link.network_type,
		  dev->infiniband ? "InfiniBand" : "Ethernet")) {
		nic_close(&nic->fid.fid);
		return NULL;
	}
	return &nic->fid;
}
