package Mesh::Consul;

# A real Consul agent on free loopback ports, and what tests ask of it.
#
#   my $c = Mesh::Consul->new;                  # one that is all of a cluster
#   $c->register('a-1', 'com.example.A', 20880, tags => ['v1'], ttl => 10);
#   $c->pass('a-1');
#   $c->restart(empty => 1);
#
# new(options):
#   data => 1        keeps what it knows over a restart; without, it is "-dev"
#   client => $c     an agent without data of its own, of that server
#   expect => n      servers it waits for: with 2 it has no leader
#   acl => 1         nobody may do anything without a token; ->token makes one
#   tls => {}        also HTTPS: crt, key and ca (whose clients alone may come)
#   unix => path     also a socket
#   limit => n       connections from one address (200)
#   config => {}     more of Consul's own settings
#   node => name     of the node (kit)
#
# It starts at once, unless start => 0; the build is t/consul/prepare's.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP;
use Test::More ();
use Time::HiRes qw(time sleep);

use Mesh::Daemon;
use Mesh::Port qw(free_port);

use constant ROOT_TOKEN => '00000000-0000-0000-0000-00000000babe';

my $root = abs_path(dirname(__FILE__) . '/../../..');
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $nodes = 0;
my $prepared;


sub new {
    my ($class, %o) = @_;

    $prepared ||= system("$root/t/consul/prepare") == 0
        or Test::More::BAIL_OUT('t/consul/prepare failed');

    my $name = $o{node} // 'kit' . (++$nodes > 1 ? $nodes : '');
    my $dir = tempdir("consul-$name-XXXXXX", TMPDIR => 1, CLEANUP => 1);

    my $self = bless { o => \%o, dir => $dir, node => $name }, $class;

    $self->{port}{$_} = free_port() for qw(http server serf_lan);
    $self->{port}{https} = free_port() if $o{tls};
    $self->{token} = ROOT_TOKEN if $o{acl};
    $self->{daemon} = Mesh::Daemon->new(name => "consul-$name", dir => $dir);

    return ($o{start} // 1) ? $self->start : $self;
}


sub port   { $_[0]{port}{$_[1] // 'http'} }
sub url    { 'http://127.0.0.1:' . $_[0]->port }
sub https  { 'https://127.0.0.1:' . $_[0]->port('https') }
sub node   { $_[0]{node} }
sub dir    { $_[0]{dir} }
sub pid    { $_[0]{daemon}->pid }
sub daemon { $_[0]{daemon} }
sub said   { $_[0]{daemon}->said }

sub connections { Mesh::Daemon::connections($_[0]->port) }


###############################################################################
# the process


sub config {
    my ($self) = @_;

    my ($o, $port, $dir) = @$self{qw(o port dir)};

    my %c = (
        node_name => $self->{node}, bind_addr => '127.0.0.1',
        client_addr => '127.0.0.1', disable_update_check => JSON::PP::true,
        log_level => 'INFO',
        # a signal is the end, not a leave that takes seconds
        leave_on_terminate => JSON::PP::false,
        skip_leave_on_interrupt => JSON::PP::true,
        ports => { dns => -1, https => -1, grpc => -1, grpc_tls => -1,
                   serf_wan => -1, %$port },
        performance => { raft_multiplier => 1 },
    );

    $c{limits}{http_max_conns_per_client} = $o->{limit} if $o->{limit};

    $c{acl} = { enabled => JSON::PP::true, default_policy => 'deny',
                tokens => { initial_management => ROOT_TOKEN,
                            agent => ROOT_TOKEN } } if $o->{acl};

    if ($o->{client}) {
        $c{retry_join} = ['127.0.0.1:' . $o->{client}->port('serf_lan')];
        $c{retry_interval} = '1s';
        $c{data_dir} = "$dir/data";
        $c{server} = JSON::PP::false;

        # unlike a server it has nothing to say of tokens
        delete $c{acl}{tokens}{initial_management} if $o->{acl};

    } elsif ($o->{data} || $o->{expect}) {
        $c{data_dir} = "$dir/data";
        $c{server} = JSON::PP::true;
        $c{bootstrap_expect} = $o->{expect} // 1;
    }

    if (my $tls = $o->{tls}) {
        $c{tls}{https} = { cert_file => $tls->{crt}, key_file => $tls->{key},
            $tls->{ca} ? (ca_file => $tls->{ca},
                          verify_incoming => JSON::PP::true) : () };
    }

    $c{addresses}{http} = "127.0.0.1 unix://$o->{unix}" if $o->{unix};

    return { %c, %{ $o->{config} // {} } };
}


# start(wait => 0) does not wait until it answers

sub start {
    my ($self, %o) = @_;

    my $file = "$self->{dir}/consul.json";

    open my $out, '>', $file or die "$file: $!";
    print $out $json->encode($self->config);
    close $out;

    my $real = $self->{o}{client} || $self->{o}{data} || $self->{o}{expect};

    $self->{daemon}{command} = ["$root/build/consul", 'agent',
                                $real ? () : '-dev', "-config-file=$file"];
    $self->{daemon}->start;

    $self->ready if $o{wait} // 1;

    return $self;
}


# a server that waits for others has no leader

sub ready {
    my ($self, $seconds) = @_;

    my $until = time + ($seconds // 30);
    my $alone = ($self->{o}{expect} // 1) > 1;

    while (time < $until) {
        my $r = $self->http('GET', $alone ? '/v1/status/leader'
                                          : '/v1/health/service/consul');
        return $self if $r->{success} && ($alone || @{ $r->{json} // [] });

        last if $self->{daemon}->gone;
        sleep 0.03;
    }

    die "consul is not ready\n" . $self->said;
}


sub stop   { $_[0]{daemon}->stop }
sub kill9  { $_[0]{daemon}->kill9 }
sub freeze { $_[0]{daemon}->freeze }
sub thaw   { $_[0]{daemon}->thaw }


# restart(empty => 1, wait => 0): with the same ports

sub restart {
    my ($self, %o) = @_;

    $self->kill9;
    remove_tree("$self->{dir}/data") if $o{empty};

    return $self->start(%o);
}


###############################################################################
# its HTTP interface


# http(method, path, body, token => "" for none, headers => {}): HTTP::Tiny's
# answer with "json", unless told "raw", and "index"; a body that is a
# reference is sent as JSON

sub http {
    my ($self, $method, $path, $body, %o) = @_;

    my %headers = %{ $o{headers} // {} };
    my $token = $o{token} // $self->{token} // '';

    $headers{'x-consul-token'} = $token if length $token;
    $body = $json->encode($body) if ref $body;

    my $r = HTTP::Tiny->new(timeout => $o{timeout} // 20, keep_alive => 0)
        ->request($method, $self->url . $path,
                  { headers => \%headers,
                    defined $body ? (content => $body) : () });

    $r->{json} = eval { $json->decode($r->{content}) }
        if $r->{success} && !$o{raw};
    $r->{index} = $r->{headers}{'x-consul-index'};

    return $r;
}


# the same, which has to go well: what the JSON is

sub done {
    my ($self, @request) = @_;

    my $r = $self->http(@request);
    die "consul: $request[0] $request[1]: $r->{status} $r->{content}\n"
        unless $r->{success};

    return $r->{json};
}


sub escape { $_[0] =~ s/([^\w.~:\@-])/sprintf '%%%02X', ord $1/ger }


# register(id, name, port, options): address, tags, meta, weights => [passing,
# warning], ttl => s (a check, passing unless status says another), gone => s
# after which a critical one goes, node => of another node than the agent's

sub register {
    my ($self, $id, $name, $port, %o) = @_;

    my %service = (
        ID => $id, Port => $port + 0, Address => $o{address} // '127.0.0.1',
        Tags => $o{tags} // [], Meta => $o{meta} // {},
        $o{weights} ? (Weights => { Passing => $o{weights}[0],
                                    Warning => $o{weights}[1] }) : (),
    );

    return $self->done('PUT', '/v1/catalog/register', {
        Node => $o{node}, Address => '127.0.0.1',
        Service => { %service, Service => $name },
    }) if $o{node};

    $service{Name} = $name;
    $service{Check} = {
        TTL => "$o{ttl}s", Status => $o{status} // 'passing',
        $o{gone} ? (DeregisterCriticalServiceAfter => "$o{gone}s") : (),
    } if $o{ttl};

    return $self->done('PUT',
                       '/v1/agent/service/register?replace-existing-checks=1',
                       \%service);
}


sub deregister {
    my ($self, $id, %o) = @_;

    return $self->done('PUT', '/v1/catalog/deregister',
                       { Node => $o{node}, ServiceID => $id }) if $o{node};

    return $self->done('PUT', '/v1/agent/service/deregister/' . escape($id));
}


# the TTL check of a service: pass(id), warn(id, note), fail(id, note)

sub pass { $_[0]->check('pass', @_[1 .. $#_]) }
sub warn { $_[0]->check('warn', @_[1 .. $#_]) }
sub fail { $_[0]->check('fail', @_[1 .. $#_]) }


sub check {
    my ($self, $state, $id, $note) = @_;

    return $self->done('PUT', "/v1/agent/check/$state/service:" . escape($id)
                              . ($note ? '?note=' . escape($note) : ''));
}


# maintenance(id or undef for the node, 1 or 0, reason)

sub maintenance {
    my ($self, $id, $on, $reason) = @_;

    my $what = defined $id ? 'service/maintenance/' . escape($id)
                           : 'maintenance';

    return $self->done('PUT', "/v1/agent/$what?enable="
                              . ($on ? 'true' : 'false')
                              . ($reason ? '&reason=' . escape($reason) : ''));
}


# what it knows of a service, "port" => worst state of its checks

sub states {
    my ($self, $name) = @_;

    my %rank = (passing => 0, warning => 1, critical => 2);
    my %state;

    for my $i (@{ $self->done('GET', '/v1/health/service/'
                                     . escape($name)) }) {
        my ($worst) = sort { $rank{$b} <=> $rank{$a} }
                      'passing', map { $_->{Status} } @{ $i->{Checks} };
        $state{$i->{Service}{Port}} = $worst;
    }

    return \%state;
}


# many(name, n, options): n instances from one port on, as Dubbo has them, in
# few requests; of nodes of their own, as the agent's is not asked

sub many {
    my ($self, $name, $n, %o) = @_;

    my @ops;
    my $port = $o{port} // 1024;
    my $nodes = $o{nodes} // 10;

    for my $i (0 .. $n - 1) {
        my $node = 'many' . $i % $nodes;

        push @ops, { Node => { Verb => 'set', Node => {
                         Node => $node, Address => '127.0.0.1' } } }
            if $i < $nodes;
        my $host = $o{address} // sprintf('127.0.%d.%d', 1 + $i / 250,
                                          1 + $i % 250);
        my $at = $o{fixed} ? $port : $port + $i % 60000;

        push @ops, { Service => { Verb => 'set', Node => $node, Service => {
            ID => "$name-$i", Service => $name, Address => $host, Port => $at,
            Tags => $o{tags} // ['dubbo'],
            Meta => $o{meta}
                    // { url => "dubbo://$host:$at/$name?side=provider" },
        } } };
    }

    while (my @some = splice @ops, 0, 64) {
        $self->done('PUT', '/v1/txn', \@some, raw => 1);
    }
}


# records(): what is registered at this agent, for restore() to put back, with
# TTL checks that pass

sub records {
    my ($self) = @_;
    return $self->done('GET', '/v1/agent/services');
}


sub restore {
    my ($self, $records, @ids) = @_;

    for my $id (@ids ? @ids : sort keys %$records) {
        my $r = $records->{$id};

        $self->register($id, $r->{Service}, $r->{Port}, ttl => 16,
                        address => $r->{Address}, tags => $r->{Tags},
                        meta => $r->{Meta});
    }
}


# as Dubbo 2.7 and 3.x register the URL of a provider; 16 is their TTL

sub dubbo {
    my ($self, $url, %o) = @_;

    my ($host, $port, $interface, $query) =
        $url =~ m{^\w+://([^:/]+):(\d+)/([^?]+)(?:\?(.*))?} or die "URL: $url";
    my $id = $o{id} // "dubbo-$interface-$port";

    $self->register($id, $interface, $port, address => $host,
                    tags => [split(/&/, $query // ''), 'dubbo'],
                    meta => { url => $url }, ttl => $o{ttl} // 16,
                    gone => $o{gone} // 20, status => 'critical');
    $self->pass($id) unless $o{critical};

    return $id;
}


# as SOFARPC registers: sofa(interface, port, version, unique => id, meta)

sub sofa {
    my ($self, $interface, $port, $version, %o) = @_;

    my $key = "$interface:$version" . ($o{unique} ? ":$o{unique}" : '')
              . '@DEFAULT';
    my $id = "$key-127.0.0.1-$port";

    $self->register($id, $interface, $port, tags => [$key],
        ttl => $o{ttl} // 10, status => 'critical',
        meta => { interface => $interface, uniqueId => $o{unique} // '',
                  protocol => 'bolt', serialization => 'hessian2',
                  rpcVer => '51302', language => 'java', timeout => '0',
                  weight => '100', dynamic => 'true', %{ $o{meta} // {} } });
    $self->pass($id) unless $o{critical};

    return $id;
}


# a token that may do what the rules say (HCL); its secret

sub token {
    my ($self, $rules) = @_;

    my $name = 'kit' . ++$self->{policies};

    $self->done('PUT', '/v1/acl/policy', { Name => $name, Rules => $rules });
    my $token = $self->done('PUT', '/v1/acl/token',
                            { Policies => [{ Name => $name }] });

    $self->{accessor}{$token->{SecretID}} = $token->{AccessorID};

    return $token->{SecretID};
}


sub revoke {
    my ($self, $secret) = @_;

    return $self->done('DELETE', "/v1/acl/token/$self->{accessor}{$secret}");
}


1;
