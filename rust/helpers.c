// SPDX-License-Identifier: GPL-2.0
/* One-line wrappers of what the kernel's headers define inline or as macros, for Rust to call. */

#include <linux/module.h>

#include "bindings/bindings.h"

/* linux/refcount.h */
bool rust_helper_refcount_inc_not_zero(refcount_t *r)
{
	return refcount_inc_not_zero(r);
}

/* linux/rcupdate.h */
void rust_helper_call_rcu_at_once(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_hurry(head, func);
}

/* linux/spinlock.h */
void rust_helper_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}

void rust_helper_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}

bool rust_helper_spin_trylock_bh(spinlock_t *lock)
{
	return spin_trylock_bh(lock);
}

/* linux/jiffies.h, linux/timer.h, linux/timekeeping.h */
unsigned long rust_helper_jiffies_now(void)
{
	return jiffies;
}

bool rust_helper_timer_pending(const struct timer_list *timer)
{
	return timer_pending(timer);
}

u64 rust_helper_ktime_get_coarse_boottime_ns(void)
{
	return ktime_get_coarse_boottime_ns();
}

/* linux/cpumask.h */
bool rust_helper_is_possible_cpu(unsigned int cpu)
{
	return cpu < nr_cpu_ids && cpu_possible(cpu);
}

/* linux/workqueue.h */
struct workqueue_struct *rust_helper_alloc_workqueue(const char *name, unsigned int flags)
{
	return alloc_workqueue("%s", flags, 0, name);
}

/* linux/xarray.h */
void rust_helper_xa_init_alloc_bh(struct xarray *xa)
{
	xa_init_flags(xa, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_BH);
}

int rust_helper_xa_alloc_cyclic_bh(struct xarray *xa, u32 *id, void *entry, u32 *next, gfp_t gfp)
{
	return xa_alloc_cyclic_bh(xa, id, entry, xa_limit_32b, next, gfp);
}

void *rust_helper_xa_cmpxchg_bh(struct xarray *xa, unsigned long index, void *old, void *entry,
				gfp_t gfp)
{
	return xa_cmpxchg_bh(xa, index, old, entry, gfp);
}

void *rust_helper_xa_find_present(struct xarray *xa, unsigned long *index)
{
	return xa_find(xa, index, ULONG_MAX, XA_PRESENT);
}

void *rust_helper_xa_erase_bh(struct xarray *xa, unsigned long index)
{
	return xa_erase_bh(xa, index);
}

/* net/net_namespace.h */
struct net *rust_helper_get_net(struct net *net)
{
	return get_net(net);
}

void rust_helper_put_net(struct net *net)
{
	put_net(net);
}

struct net *rust_helper_maybe_get_net(struct net *net)
{
	return maybe_get_net(net);
}

u64 rust_helper_net_cookie(struct net *net)
{
	return net->net_cookie;
}

struct net *rust_helper_dev_net(const struct net_device *dev)
{
	return dev_net(dev);
}

struct net *rust_helper_rtnl_newlink_link_net(struct rtnl_newlink_params *params)
{
	return rtnl_newlink_link_net(params);
}

/* linux/netdevice.h */
void *rust_helper_netdev_priv(const struct net_device *dev)
{
	return netdev_priv(dev);
}

void rust_helper_dev_hold(struct net_device *dev)
{
	dev_hold(dev);
}

void rust_helper_dev_put(struct net_device *dev)
{
	dev_put(dev);
}

bool rust_helper_netif_running(const struct net_device *dev)
{
	return netif_running(dev);
}

void rust_helper_netif_keep_dst(struct net_device *dev)
{
	netif_keep_dst(dev);
}

void rust_helper_set_lltx(struct net_device *dev)
{
	dev->lltx = true;
}

void rust_helper_set_tstats(struct net_device *dev)
{
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
}

void rust_helper_set_needs_free_netdev(struct net_device *dev)
{
	dev->needs_free_netdev = true;
}

void rust_helper_add_features(struct net_device *dev, netdev_features_t features)
{
	dev->features |= features, dev->hw_features |= features, dev->hw_enc_features |= features;
}

void rust_helper_set_no_queue(struct net_device *dev)
{
	dev->priv_flags |= IFF_NO_QUEUE;
}

netdev_features_t rust_helper_tunnel_features(void)
{
	return NETIF_F_HW_CSUM | NETIF_F_RXCSUM | NETIF_F_SG | NETIF_F_GSO |
	       NETIF_F_GSO_SOFTWARE | NETIF_F_HIGHDMA;
}

bool rust_helper_netif_elide_gro(const struct net_device *dev)
{
	return netif_elide_gro(dev);
}

int rust_helper_dev_recursion_level(void)
{
	return dev_recursion_level();
}

void rust_helper_dev_sw_netstats_rx_add(struct net_device *dev, unsigned int len)
{
	dev_sw_netstats_rx_add(dev, len);
}

void rust_helper_dev_sw_netstats_tx_add(struct net_device *dev, unsigned int packets,
					unsigned int len)
{
	dev_sw_netstats_tx_add(dev, packets, len);
}

/* Callers have disabled softirqs, in which nothing else on this CPU counts. */
u64 rust_helper_dev_sw_netstats_tx_packets_here(struct net_device *dev)
{
	return u64_stats_read(&this_cpu_ptr(dev->tstats)->tx_packets);
}

void rust_helper_dev_stats_add_rx_errors(struct net_device *dev, unsigned long n)
{
	DEV_STATS_ADD(dev, rx_errors, n);
}

void rust_helper_dev_stats_add_rx_frame_errors(struct net_device *dev, unsigned long n)
{
	DEV_STATS_ADD(dev, rx_frame_errors, n);
}

void rust_helper_dev_stats_add_rx_length_errors(struct net_device *dev, unsigned long n)
{
	DEV_STATS_ADD(dev, rx_length_errors, n);
}

void rust_helper_dev_stats_add_rx_dropped(struct net_device *dev, unsigned long n)
{
	DEV_STATS_ADD(dev, rx_dropped, n);
}

void rust_helper_dev_stats_add_tx_errors(struct net_device *dev, unsigned long n)
{
	DEV_STATS_ADD(dev, tx_errors, n);
}

void rust_helper_dev_stats_add_tx_dropped(struct net_device *dev, unsigned long n)
{
	DEV_STATS_ADD(dev, tx_dropped, n);
}

void rust_helper_napi_forbid_busy_polling(struct napi_struct *napi)
{
	set_bit(NAPI_STATE_NO_BUSY_POLL, &napi->state);
}

void rust_helper_netif_napi_add(struct net_device *dev, struct napi_struct *napi,
				int (*poll)(struct napi_struct *, int))
{
	netif_napi_add(dev, napi, poll);
}

void rust_helper_netif_napi_del_nosync(struct napi_struct *napi)
{
	__netif_napi_del(napi);
}

void rust_helper_napi_schedule(struct napi_struct *napi)
{
	napi_schedule(napi);
}

void rust_helper_local_bh_disable(void)
{
	local_bh_disable();
}

void rust_helper_local_bh_enable(void)
{
	local_bh_enable();
}

/* linux/cpumask.h */
unsigned int rust_helper_num_online_cpus(void)
{
	return num_online_cpus();
}

/* linux/sched/isolation.h */
unsigned int rust_helper_housekeeping_online_count(void)
{
	return cpumask_weight_and(cpu_online_mask, housekeeping_cpumask(HK_TYPE_DOMAIN));
}

/* linux/sched.h */
void rust_helper_cond_resched(void)
{
	cond_resched();
}

/* linux/random.h */
u32 rust_helper_get_random_u32_below(u32 ceiling)
{
	return get_random_u32_below(ceiling);
}

/* linux/inetdevice.h, net/addrconf.h: what a point-to-point tunnel wants of its addresses */
void rust_helper_disable_send_redirects(struct in_device *in_dev)
{
	IN_DEV_CONF_SET(in_dev, SEND_REDIRECTS, false);
}

void rust_helper_disable_all_send_redirects(struct net_device *dev)
{
	IPV4_DEVCONF_ALL(dev_net(dev), SEND_REDIRECTS) = false;
}

struct in_device *rust_helper___in_dev_get_rtnl(const struct net_device *dev)
{
	return __in_dev_get_rtnl(dev);
}

struct inet6_dev *rust_helper___in6_dev_get_rtnl(const struct net_device *dev)
{
	return __in6_dev_get(dev);
}

void rust_helper_set_addr_gen_mode_none(struct inet6_dev *in6_dev)
{
	in6_dev->cnf.addr_gen_mode = IN6_ADDR_GEN_MODE_NONE;
}

/* linux/skbuff.h, net/gso.h, net/dst.h */
struct skb_shared_info *rust_helper_skb_shinfo(const struct sk_buff *skb)
{
	return skb_shinfo(skb);
}

struct sk_buff *rust_helper_alloc_skb(unsigned int size, gfp_t gfp)
{
	return alloc_skb(size, gfp);
}

void rust_helper_skb_reserve(struct sk_buff *skb, int len)
{
	skb_reserve(skb, len);
}

struct sk_buff *rust_helper_netdev_alloc_skb(struct net_device *dev, unsigned int len)
{
	return netdev_alloc_skb(dev, len);
}

bool rust_helper_pskb_may_pull(struct sk_buff *skb, unsigned int len)
{
	return pskb_may_pull(skb, len);
}

int rust_helper_pskb_trim(struct sk_buff *skb, unsigned int len)
{
	return pskb_trim(skb, len);
}

bool rust_helper_skb_is_gso(const struct sk_buff *skb)
{
	return skb_is_gso(skb);
}

struct sk_buff *rust_helper_skb_gso_segment(struct sk_buff *skb, netdev_features_t features)
{
	return skb_gso_segment(skb, features);
}

netdev_features_t rust_helper_segment_features(void)
{
	return NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_HIGHDMA;
}

unsigned int rust_helper_skb_dst_mtu(struct sk_buff *skb)
{
	return skb_valid_dst(skb) ? dst_mtu(skb_dst(skb)) : 0;
}

void rust_helper_skb_dst_drop(struct sk_buff *skb)
{
	skb_dst_drop(skb);
}

void rust_helper_skb_orphan(struct sk_buff *skb)
{
	skb_orphan(skb);
}

bool rust_helper_is_skb_wmem(const struct sk_buff *skb)
{
	return is_skb_wmem(skb);
}

void rust_helper_refcount_add_wmem(struct sock *sk, int delta)
{
	refcount_add(delta, &sk->sk_wmem_alloc);
}

u32 rust_helper_skb_get_hash(struct sk_buff *skb)
{
	return skb_get_hash(skb);
}

void rust_helper_skb_copy_hash(struct sk_buff *to, const struct sk_buff *from)
{
	skb_copy_hash(to, from);
}

void rust_helper_skb_set_csum_unnecessary(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_UNNECESSARY, skb->csum_level = ~0;
}

void rust_helper_skb_set_csum_partial(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_PARTIAL;
}

bool rust_helper_skb_is_csum_partial(const struct sk_buff *skb)
{
	return skb->ip_summed == CHECKSUM_PARTIAL;
}

bool rust_helper_skb_is_simple_to_cut(const struct sk_buff *skb)
{
	return skb->ip_summed == CHECKSUM_PARTIAL && !skb->encapsulation && skb_frags_readable(skb);
}

void rust_helper_skb_set_ignore_df(struct sk_buff *skb)
{
	skb->ignore_df = 1;
}

u8 rust_helper_ip_tunnel_ecn_encap(u8 tos, const struct sk_buff *skb)
{
	return ip_tunnel_ecn_encap(tos, ip_hdr(skb), skb);
}

u8 rust_helper_ip_tunnel_get_dsfield(const struct sk_buff *skb)
{
	return ip_tunnel_get_dsfield(ip_hdr(skb), skb);
}

int rust_helper_INET_ECN_decapsulate(struct sk_buff *skb, u8 outer, u8 inner)
{
	return INET_ECN_decapsulate(skb, outer, inner);
}

void rust_helper_skb_add_rx_frag(struct sk_buff *skb, int i, void *data, int size,
				 unsigned int truesize)
{
	skb_add_rx_frag(skb, i, virt_to_head_page(data),
			data - page_address(virt_to_head_page(data)), size, truesize);
}

void rust_helper_skb_list_add_tail(struct sk_buff *skb, struct list_head *list)
{
	list_add_tail(&skb->list, list);
}

/* The pages that an address is in. */
bool rust_helper_is_only_use_of_page(void *data)
{
	struct page *page = virt_to_head_page(data);

	return page_count(page) == 1 &&
	       (!page_pool_page_is_pp(page) ||
		atomic_long_read(netmem_get_pp_ref_count_ref(page_to_netmem(page))) == 1);
}

void *rust_helper_page_start(void *data)
{
	return page_address(virt_to_head_page(data));
}

size_t rust_helper_page_room(void *data)
{
	return page_size(virt_to_head_page(data));
}

int rust_helper_skb_tailroom(const struct sk_buff *skb)
{
	return skb_tailroom(skb);
}

bool rust_helper_skb_cloned(const struct sk_buff *skb)
{
	return skb_cloned(skb);
}

void *rust_helper_skb_frag_address_safe(const skb_frag_t *frag)
{
	return skb_frag_address_safe(frag);
}

/* net/checksum.h */
__wsum rust_helper_csum_partial_copy_nocheck(const void *src, void *dst, int len)
{
	return csum_partial_copy_nocheck(src, dst, len);
}

/* net/page_pool/helpers.h */
void *rust_helper_page_pool_dev_alloc_va(struct page_pool *pool, unsigned int *size)
{
	return page_pool_dev_alloc_va(pool, size);
}

void rust_helper_page_pool_ref_va(void *data)
{
	page_pool_ref_page(virt_to_head_page(data));
}

void rust_helper_page_pool_put_va(void *data)
{
	napi_pp_put_page(page_to_netmem(virt_to_head_page(data)));
}

void rust_helper_skb_mark_for_recycle(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}

/* linux/icmpv6.h, net/icmp.h: functions or inline, by configuration */
void rust_helper_icmp_ndo_send(struct sk_buff *skb, int type, int code, __be32 info)
{
	icmp_ndo_send(skb, type, code, info);
}

void rust_helper_icmpv6_ndo_send(struct sk_buff *skb, u8 type, u8 code, u32 info)
{
	icmpv6_ndo_send(skb, type, code, info);
}

/* net/route.h, net/ip6_route.h, net/dst_cache.h */
struct net *rust_helper_sock_net(const struct sock *sk)
{
	return sock_net(sk);
}

void rust_helper_classify_flow4(const struct sock *sk, struct flowi4 *flow)
{
	security_sk_classify_flow(sk, flowi4_to_flowi_common(flow));
}

void rust_helper_classify_flow6(const struct sock *sk, struct flowi6 *flow)
{
	security_sk_classify_flow(sk, flowi6_to_flowi_common(flow));
}

bool rust_helper_ip_is_local_address(struct net *net, __be32 address)
{
	return inet_confirm_addr(net, NULL, 0, address, RT_SCOPE_HOST);
}

bool rust_helper_ipv6_is_local_address(struct net *net, const struct in6_addr *address, int ifindex)
{
	return ipv6_chk_addr_and_flags(net, address, dev_get_by_index_rcu(net, ifindex), true, 0,
				       IFA_F_TENTATIVE);
}

bool rust_helper_ipv6_is_address_of(struct net *net, const struct in6_addr *address, int ifindex)
{
	return ipv6_chk_addr_and_flags(net, address, dev_get_by_index_rcu(net, ifindex), false, 1,
				       IFA_F_TENTATIVE);
}

int rust_helper_l3mdev_master_ifindex_by_index(struct net *net, int ifindex)
{
	return l3mdev_master_ifindex_by_index(net, ifindex);
}

__sum16 rust_helper_udp_lib_checksum_complete(struct sk_buff *skb)
{
	return udp_lib_checksum_complete(skb);
}

void rust_helper_udp_count_received(struct sock *sk, int datagrams)
{
	SNMP_ADD_STATS(__UDPX_MIB(sk, sk->sk_family == AF_INET), UDP_MIB_INDATAGRAMS, datagrams);
}

void rust_helper_udp_count_csum_error(struct sock *sk)
{
	__UDPX_INC_STATS(sk, UDP_MIB_CSUMERRORS);
}

void rust_helper_udp_count_in_error(struct sock *sk)
{
	__UDPX_INC_STATS(sk, UDP_MIB_INERRORS);
}

void rust_helper_udp_set_accept_gso(struct sock *sk, bool value)
{
	udp_assign_bit(ACCEPT_L4, sk, value);
}

void rust_helper_udp_set_gro(struct sock *sk, bool value)
{
	udp_assign_bit(GRO_ENABLED, sk, value);
}

void rust_helper_skb_gso_reset(struct sk_buff *skb)
{
	skb_gso_reset(skb);
}

int rust_helper_skb_unclone(struct sk_buff *skb, gfp_t pri)
{
	return skb_unclone(skb, pri);
}

int rust_helper_skb_linearize(struct sk_buff *skb)
{
	return skb_linearize(skb);
}

int rust_helper_skb_ingress_ifindex(const struct sk_buff *skb)
{
	return (skb->protocol == htons(ETH_P_IPV6) ? inet6_sdif(skb) : inet_sdif(skb)) ?:
	       skb->skb_iif;
}

int rust_helper_ip4_dst_hoplimit(const struct dst_entry *dst)
{
	return ip4_dst_hoplimit(dst);
}

void rust_helper_dst_hold(struct dst_entry *dst)
{
	dst_hold(dst);
}

struct net_device *rust_helper_dst_dev(const struct dst_entry *dst)
{
	return dst_dev(dst);
}

/* An IPsec transformation wants datagrams one by one. */
bool rust_helper_dst_can_gso(const struct dst_entry *dst)
{
	return (dst_dev(dst)->features & NETIF_F_GSO) && !dst_xfrm(dst);
}

/* Callers have disabled softirqs. A device with a queue for each CPU most likely uses this one. */
bool rust_helper_dev_has_backlog(const struct net_device *dev)
{
	unsigned int queue = raw_smp_processor_id() % dev->real_num_tx_queues;

	return !qdisc_is_empty(rcu_dereference_bh(netdev_get_tx_queue(dev, queue)->qdisc));
}

void rust_helper_dst_cache_reset(struct dst_cache *cache)
{
	dst_cache_reset(cache);
}

/* net/gro.h, net/udp.h */
void rust_helper_inet_get_iif_sdif(const struct sk_buff *skb, int *iif, int *sdif)
{
	inet_get_iif_sdif(skb, iif, sdif);
}

void rust_helper_inet6_get_iif_sdif(const struct sk_buff *skb, int *iif, int *sdif)
{
	inet6_get_iif_sdif(skb, iif, sdif);
}

struct net *rust_helper_skb_dev_net(const struct sk_buff *skb)
{
	return dev_net_rcu(skb->dev);
}

bool rust_helper_skb_dev_merges_udp(const struct sk_buff *skb)
{
	return skb->dev->features & (NETIF_F_GRO_UDP_FWD | NETIF_F_GRO_FRAGLIST);
}

bool rust_helper_udp_sk_merges(const struct sock *sk)
{
	return udp_test_bit(GRO_ENABLED, sk) || READ_ONCE(udp_sk(sk)->gro_receive);
}

/* net/ipv6.h */
int rust_helper_ip6_sock_set_v6only(struct sock *sk)
{
	return ip6_sock_set_v6only(sk);
}

/* net/sock.h */
void rust_helper_sock_reset_memalloc(struct sock *sk)
{
	sock_reset_flag(sk, SOCK_MEMALLOC);
}

void rust_helper_memalloc_socks_dec(void)
{
	static_branch_dec(&memalloc_socks_key);
}

bool rust_helper_ipv6_mod_enabled(void)
{
	return ipv6_mod_enabled();
}

void rust_helper_sock_hold(struct sock *sk)
{
	sock_hold(sk);
}

void rust_helper_sock_put(struct sock *sk)
{
	sock_put(sk);
}

__be16 rust_helper_inet_sport(const struct sock *sk)
{
	return inet_sk(sk)->inet_sport;
}

void rust_helper_inet_dec_convert_csum(struct sock *sk)
{
	inet_dec_convert_csum(sk);
}

void *rust_helper_sk_user_data(const struct sock *sk)
{
	return READ_ONCE(sk->sk_user_data);
}

u32 rust_helper_ipv6_iface_scope_id(const struct in6_addr *address, int ifindex)
{
	return ipv6_iface_scope_id(address, ifindex);
}

/* linux/string.h */
void rust_helper_memzero_explicit(void *data, size_t len)
{
	memzero_explicit(data, len);
}

/* net/netlink.h, net/genetlink.h */
struct nlattr *rust_helper_nla_nest_start(struct sk_buff *skb, int type)
{
	return nla_nest_start(skb, type);
}

int rust_helper_nla_nest_end_safe(struct sk_buff *skb, struct nlattr *start)
{
	return nla_nest_end_safe(skb, start);
}

void rust_helper_nla_nest_cancel(struct sk_buff *skb, struct nlattr *start)
{
	nla_nest_cancel(skb, start);
}

struct sk_buff *rust_helper_genlmsg_new(void)
{
	return genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
}

int rust_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_reply(skb, info);
}

int rust_helper_genlmsg_multicast_netns(const struct genl_family *family, struct net *net,
					struct sk_buff *skb, unsigned int group)
{
	return genlmsg_multicast_netns(family, net, skb, 0, group, GFP_KERNEL);
}

bool rust_helper_genl_has_listeners(const struct genl_family *family, struct net *net,
				    unsigned int group)
{
	return genl_has_listeners(family, net, group) > 0;
}

void rust_helper_nlmsg_free(struct sk_buff *skb)
{
	nlmsg_free(skb);
}

int rust_helper_nla_put_uint(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_uint(skb, type, value);
}

void rust_helper_genlmsg_end(struct sk_buff *skb, void *header)
{
	genlmsg_end(skb, header);
}

void rust_helper_genlmsg_cancel(struct sk_buff *skb, void *header)
{
	genlmsg_cancel(skb, header);
}

void rust_helper_genl_dump_check_consistent(struct netlink_callback *cb, void *header)
{
	genl_dump_check_consistent(cb, header);
}

const struct genl_info *rust_helper_genl_info_dump(struct netlink_callback *cb)
{
	return genl_info_dump(cb);
}

struct net *rust_helper_genl_info_net(const struct genl_info *info)
{
	return genl_info_net(info);
}

void *rust_helper_genlmsg_data(const struct genlmsghdr *header)
{
	return genlmsg_data(header);
}

int rust_helper_genlmsg_len(const struct genlmsghdr *header)
{
	return genlmsg_len(header);
}

/* linux/capability.h */
bool rust_helper_net_ns_capable(const struct net *net)
{
	return ns_capable(net->user_ns, CAP_NET_ADMIN);
}

/* linux/netdevice.h: fields that are bit-fields or behind macros */
void rust_helper_set_mtu(struct net_device *dev, unsigned int mtu)
{
	dev->mtu = mtu;
}

unsigned int rust_helper_dev_mtu(const struct net_device *dev)
{
	return READ_ONCE(dev->mtu);
}

void rust_helper_set_device_type(struct net_device *dev)
{
	static const struct device_type type = { .name = KBUILD_MODNAME };

	SET_NETDEV_DEVTYPE(dev, &type);
}

struct sk_buff *rust_helper_skb_share_check(struct sk_buff *skb, gfp_t gfp)
{
	return skb_share_check(skb, gfp);
}

/* linux/random.h, linux/suspend.h: functions or inline, by configuration */
int rust_helper_register_random_vmfork_notifier(struct notifier_block *block)
{
	return register_random_vmfork_notifier(block);
}

int rust_helper_unregister_random_vmfork_notifier(struct notifier_block *block)
{
	return unregister_random_vmfork_notifier(block);
}

int rust_helper_register_pm_notifier(struct notifier_block *block)
{
	return register_pm_notifier(block);
}

int rust_helper_unregister_pm_notifier(struct notifier_block *block)
{
	return unregister_pm_notifier(block);
}

/*
 * linux/module.h: `module!` has no field for a version. Programs read this one in
 * /sys/module/wireguard/version.
 */
MODULE_VERSION("1.0.0");
