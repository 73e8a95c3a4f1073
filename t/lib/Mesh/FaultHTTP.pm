package Mesh::FaultHTTP;

# A server that speaks as Consul does, and misbehaves as it is told.
#
#   my $f = Mesh::FaultHTTP->new;
#   $f->service('com.example.A', [ $f->instance('a-1', 20880) ]);
#   $f->fault(match => '/health/service/', status => 500, times => 3);
#   ... $f->requests ...
#
# Without a fault it answers /v1/health/service/NAME, /v1/catalog/services,
# /v1/agent/self and /v1/status/leader from what service() said, blocking
# queries as well: at a change, or after their "wait".
#
# fault(options): the first that matches "METHOD TARGET" is used, "times" times
# (1; 0 is for ever), before what is said above.
#   match => regex            (as text)
#   skip => n                 lets n such requests pass before
#   status, reason, headers => {}, body or json, index => n
#                             what is not given is as it would be without
#   delay => s                before the answer, "between" before the body
#   block => 1                the answer comes when the true one would
#   chunked => n              chunks of n bytes, 1 for a single one
#   nolength => 1             neither length nor chunks: the end is the close
#   length => n               a Content-Length that is not true
#   truncate => n             closes after n bytes of the body, "rst" resets
#   nolast => 1               all chunks but the last, which is empty
#   drip => [bytes, s]        so many at a time
#   close => 1, rst => 1      no answer at all
#   hang => 1                 not even that
#   last => 1                 closes after the answer, and says so
#   raw => bytes              instead of an answer
#
# early(bytes): what each connection gets before it has asked, then the close.

use strict;
use warnings;

use parent 'Mesh::Fault';

use JSON::PP;
use Time::HiRes qw(time);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;


###############################################################################
# the test's side


sub url { 'http://' . $_[0]->address }


# service(name, [instances] or undef for none at all, options): index => n (the
# next one), quiet => 1 wakes nobody

sub service {
    my ($self, $name, $instances, %o) = @_;
    return $self->ask('service', $name, $instances, \%o);
}


# an instance of /v1/health/service as Consul would have it: options address,
# tags, meta, weights, checks => ["passing", ...], node, more => {} of Service

sub instance {
    my ($self, $id, $port, %o) = @_;

    my $n = 0;
    my $weights = $o{weights} // [1, 1];

    return {
        Node => { Node => $o{node} // 'n1', Datacenter => 'dc1',
                  Address => $o{node_address} // '127.0.0.1', Meta => {} },
        Service => {
            ID => $id, Service => $o{name} // '', Port => $port,
            Address => $o{address} // '127.0.0.1',
            Tags => $o{tags} // [], Meta => $o{meta} // {},
            Weights => { Passing => $weights->[0], Warning => $weights->[1] },
            %{ $o{more} // {} },
        },
        Checks => [ map { {
            Node => $o{node} // 'n1', ServiceID => $id, Status => $_,
            CheckID => $_ eq 'maintenance' ? "_service_maintenance:$id"
                                           : "$id-" . $n++,
            $_ eq 'maintenance' ? (Status => 'critical') : (),
        } } @{ $o{checks} // ['passing'] } ],
    };
}


sub fault   { my ($self, %o) = @_; return $self->ask('fault', \%o) }
sub clear   { $_[0]->ask('clear') }
sub early   { $_[0]->ask('early', $_[1]) }

# headers that every answer of its own has; undef takes one away
sub headers { my ($self, %h) = @_; return $self->ask('headers', \%h) }

# index => n: the next answers' index, wherever they come from
sub index_is { $_[0]->ask('index', $_[1]) }

# all requests so far: time, conn, method, target, headers, body; fault => n
# where one was used; forget => 1 empties the list
sub requests { @{ $_[0]->ask('requests', $_[1]) } }

# how many wait for a change now
sub waiting { $_[0]->ask('waiting') }

# the services that are waited for, the catalog is ''
sub polled { @{ $_[0]->ask('polled') } }

# all that wait are answered as if their time was over
sub release { $_[0]->ask('release') }


###############################################################################
# the server's process


sub init {
    my ($s) = @_;

    $s->{faults} = [];
    $s->{services} = {};
    $s->{requests} = [];
    $s->{waiting} = [];
    $s->{index} = 10;
    $s->{headers} = {
        'X-Consul-Default-Acl-Policy' => 'allow',
        'X-Consul-Effective-Consistency' => 'leader',
        'X-Consul-Knownleader' => 'true', 'X-Consul-Lastcontact' => '0',
    };
}


sub order_service {
    my ($s, $name, $instances, $o) = @_;

    $s->{index} = $o->{index} // $s->{index} + 1;

    if ($instances) {
        $_->{Service}{Service} ||= $name for @$instances;
        $s->{services}{$name}{list} = $instances;
        $s->{services}{$name}{index} = $s->{index};
    } else {
        delete $s->{services}{$name};
    }

    $s->{changed}{$name} = $s->{changed}{''} = $s->{index};
    $s->wake($name) unless $o->{quiet};

    return $s->{index};
}


sub order_fault {
    my ($s, $o) = @_;

    $o->{times} //= 1;
    $o->{n} = ++$s->{n};
    push @{ $s->{faults} }, $o;

    return $o->{n};
}


sub order_clear   { $_[0]{faults} = []; delete $_[0]{early}; 1 }
sub order_early   { $_[0]{early} = $_[1]; 1 }
sub order_waiting { scalar grep { !$_->{c}{dead} } @{ $_[0]{waiting} } }
sub order_polled {
    [map { $_->{name} } grep { !$_->{c}{dead} } @{ $_[0]{waiting} }]
}


sub order_release { $_[0]->wake; 1 }


sub order_index {
    my ($s, $index) = @_;

    $s->{index} = $index;
    $_->{index} = $index for values %{ $s->{services} };

    return 1;
}


sub order_headers {
    my ($s, $headers) = @_;

    for (keys %$headers) {
        defined $headers->{$_} ? $s->{headers}{$_} = $headers->{$_}
                               : delete $s->{headers}{$_};
    }

    return 1;
}


sub order_requests {
    my ($s, $forget) = @_;

    my $all = $s->{requests};
    $s->{requests} = [] if $forget;

    return $all;
}


sub opened {
    my ($s, $c) = @_;

    return unless defined $s->{early};

    $s->write($c, $s->{early});
    $s->shut($c, 'last');
}


sub readable {
    my ($s, $c) = @_;

    while (!$c->{dead} && !$c->{busy}
           && $c->{in} =~ /\A(.*?)\r?\n\r?\n/s)
    {
        my ($head, $size) = ($1, $+[0]);
        my ($line, @lines) = split /\r?\n/, $head;
        my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1, $2) : () } @lines;
        my $length = $headers{'content-length'} // 0;

        return if length $c->{in} < $size + $length;

        substr $c->{in}, 0, $size, '';
        my $body = substr $c->{in}, 0, $length, '';
        my ($method, $target) = split ' ', $line;

        my $r = { time => time, conn => $c->{n}, method => $method,
                  target => $target, headers => \%headers, body => $body,
                  version => $line =~ m{HTTP/1\.0$} ? 1.0 : 1.1 };

        push @{ $s->{requests} }, $r;
        $c->{busy} = 1;
        $s->request($c, $r);
    }
}


sub request {
    my ($s, $c, $r) = @_;

    my $fault = $s->pick("$r->{method} $r->{target}") // {};

    $r->{fault} = $fault->{n} if $fault->{n};

    return if $fault->{hang};
    return $s->shut($c, $fault->{rst} ? 1 : 0)
        if ($fault->{close} || $fault->{rst}) && !defined $fault->{truncate};

    my ($path, %arg) = parse($r->{target});
    my ($name) = $path =~ m{^/v1/health/service/(.+)};
    my $index = $s->index_of($name // '');

    if (($fault->{block} || !$fault->{n}) && $arg{index}
        && $arg{index} == $index && $path =~ /health|catalog/)
    {
        my $w = { c => $c, r => $r, name => $name // '', fault => $fault };

        push @{ $s->{waiting} }, $w;
        $s->later(seconds($arg{wait} // '5m'), sub { $s->due($w) });
        return;
    }

    $s->answer($c, $r, $fault);
}


sub pick {
    my ($s, $line) = @_;

    for my $f (@{ $s->{faults} }) {
        next if $f->{spent} || $line !~ /$f->{match}/;
        next if $f->{skip} && $f->{skip}-- > 0;

        $f->{spent} = 1 if $f->{times} && --$f->{times} == 0;
        return $f;
    }

    return;
}


sub parse {
    my ($target) = @_;

    my ($path, $query) = split /\?/, $target, 2;
    my @pairs = map { my ($n, $v) = split /=/; ($n, $v // '') }
                split /&/, $query // '';

    s/%([0-9A-Fa-f]{2})/chr hex $1/ge for $path, @pairs;

    return ($path, @pairs);
}


sub seconds {
    my ($text) = @_;

    my %unit = (ms => 0.001, s => 1, m => 60, h => 3600);
    return $text =~ /^([\d.]+)(ms|s|m|h)$/ ? $1 * $unit{$2} : 300;
}


sub index_of {
    my ($s, $name) = @_;

    return $s->{index} if $name eq '';
    return $s->{services}{$name} ? $s->{services}{$name}{index}
                                 : $s->{changed}{$name} // 10;
}


sub due {
    my ($s, $w) = @_;

    return if $w->{done}++;

    @{ $s->{waiting} } = grep { $_ != $w } @{ $s->{waiting} };
    $s->answer($w->{c}, $w->{r}, $w->{fault}) unless $w->{c}{dead};
}


sub wake {
    my ($s, $name) = @_;

    $s->due($_) for grep { !defined $name || $_->{name} eq ''
                           || $_->{name} eq $name } @{ [@{ $s->{waiting} }] };
}


# status, headers, body of what it would say without a fault

sub truth {
    my ($s, $r) = @_;

    my ($path) = parse($r->{target});
    my %headers = (%{ $s->{headers} }, 'Content-Type' => 'application/json',
                   Vary => 'Accept-Encoding');
    my $what;

    if ($path =~ m{^/v1/health/service/(.+)}) {
        $what = $s->{services}{$1} ? $s->{services}{$1}{list} : [];
        $headers{'X-Consul-Index'} = $s->index_of($1);
        $headers{'X-Consul-Query-Backend'} =
            $r->{target} =~ /[?&]index=/ ? 'streaming' : 'blocking-query';

    } elsif ($path eq '/v1/catalog/services') {
        for my $name (keys %{ $s->{services} }) {
            my %tags = map { $_ => 1 } map { @{ $_->{Service}{Tags} } }
                       @{ $s->{services}{$name}{list} };
            $what->{$name} = [ sort keys %tags ];
        }
        $what->{consul} = [];
        $headers{'X-Consul-Index'} = $s->{index};

    } elsif ($path eq '/v1/agent/self') {
        $what = { Config => { NodeName => 'n1', Datacenter => 'dc1' } };

    } elsif ($path eq '/v1/status/leader') {
        $what = '127.0.0.1:8300';

    } else {
        return (404, { 'Content-Type' => 'text/plain' },
                "Invalid URL path: not a recognized HTTP API endpoint");
    }

    return (200, \%headers, $json->encode($what));
}


sub answer {
    my ($s, $c, $r, $f) = @_;

    return $s->send_all($c, $r, $f, '', $f->{raw}) if defined $f->{raw};

    my ($status, $headers, $body) = $s->truth($r);

    if (defined $f->{status} && $f->{status} != 200) {
        $headers = { 'Content-Type' => 'text/plain' };
        $body = '';
    }

    $status = $f->{status} // $status;
    $headers->{'X-Consul-Index'} = $f->{index} if defined $f->{index};
    $body = $f->{body} if defined $f->{body};
    $body = $json->encode($f->{json}) if exists $f->{json};

    for (keys %{ $f->{headers} // {} }) {
        defined $f->{headers}{$_} ? $headers->{$_} = $f->{headers}{$_}
                                  : delete $headers->{$_};
    }

    if ($f->{chunked}) {
        $headers->{'Transfer-Encoding'} = 'chunked';
        $body = chunks($body, $f->{chunked}, $f->{nolast});
    } elsif (!$f->{nolength}) {
        $headers->{'Content-Length'} = $f->{length} // length $body;
    }

    $headers->{Connection} = 'close' if $f->{last};

    my $reason = $f->{reason} // ($status == 200 ? 'OK' : 'Fault');
    my $head = join "\r\n", "HTTP/1.1 $status $reason",
               (map { "$_: $headers->{$_}" } sort keys %$headers), '', '';

    $s->send_all($c, $r, $f, $head, $body);
}


sub chunks {
    my ($body, $size, $nolast) = @_;

    my @parts = $size > 1 ? unpack "(a$size)*", $body : $body;

    return join '', (map { sprintf "%x\r\n%s\r\n", length, $_ }
                     grep { length } @parts),
                    $nolast ? () : "0\r\n\r\n";
}


sub send_all {
    my ($s, $c, $r, $f, $head, $body) = @_;

    my $cut = defined $f->{truncate};
    my $end = $cut || $f->{nolength} || $f->{last} || $f->{close}
              || $r->{version} < 1.1;

    $body = substr $body, 0, $f->{truncate} if $cut;

    my $done = sub {
        delete $c->{busy};
        return $s->shut($c, $f->{rst} ? 1 : 'last') if $end;
        $s->readable($c);
    };

    $s->later($f->{delay} // 0, sub {
        $s->write($c, $head);
        $s->later($f->{between} // 0, sub {
            $s->drip($c, $body, @{ $f->{drip} // [] }) and return $done->();
            $c->{done} = $done;
        });
    });
}


# all at once, or some bytes at a time; true when it is all written

sub drip {
    my ($s, $c, $bytes, $some, $pause) = @_;

    if (!$some || length $bytes <= $some) {
        $s->write($c, $bytes);
        (delete $c->{done})->() if $c->{done};
        return 1;
    }

    $s->write($c, substr $bytes, 0, $some, '');
    $s->later($pause, sub { $s->drip($c, $bytes, $some, $pause) })
        unless $c->{dead};

    return 0;
}


1;
