package Mesh::Agent;

# An nginx with an agent, and what is known of it from outside.
#
#   my $t = Mesh::Agent->new;
#   $t->write_conf(agent_conf($peer));
#   $t->run;
#   $t->put('127.0.0.1:20880');     # as an operator would
#   my @files = $t->journal;        # newest first, as lines

use strict;
use warnings;
no warnings qw(portable);

use parent 'Mesh::Upgrade';

use Exporter ();
use File::Path qw(make_path);

use Mesh::Test qw(wait_for);
use Mesh::Unit;

our @EXPORT = qw(wait_for agent_conf);

sub import { goto &Exporter::import }

my $tool;

my @sources = qw(t/unit/*.c t/table/stub.c t/journal/*.c
                 src/table/ngx_mesh_journal.c src/table/ngx_mesh_part.c
                 src/table/ngx_mesh_operator.c src/table/ngx_mesh_learned.c
                 src/table/ngx_mesh_item.c src/table/ngx_mesh_item_found.c src/table/ngx_mesh_table.c
                 src/table/ngx_mesh_rule_record.c src/table/ngx_mesh_store*.c);


sub unit {
    Mesh::Unit::run('journal', sources => \@sources, libs => ['-ldeflate']);
}


# the program of the unit tests, whose other half is a tool; no sanitizer, as
# it maps the memory of an nginx

sub tool {
    my (@args) = @_;

    $tool //= Mesh::Unit::build('journal_tool', sources => \@sources,
                                libs => ['-ldeflate'], sanitize => 0);

    open my $out, '-|', $tool, @args or die "$tool: $!";
    my @lines = <$out>;
    close $out;
    chomp @lines;

    die "$tool @args failed\n" if $?;

    return @lines;
}


# agent_conf(peer, state => "parameters", mesh => ..., main => ...): the
# configuration's own endpoint is only used when there is no other

sub agent_conf {
    my ($peer, %o) = @_;

    my %in = map { $_ => $o{$_} // '' } qw(main mesh http);
    my $state = $o{state} // '%%DIR%%/state';
    my $zone = $o{zone} // 'mesh:8m';

    return <<"CONF";
$in{main}
worker_processes 2;

mesh {
    zone $zone metrics=1m;
    state_path $state;

    service demo.Echo { endpoint @{[$peer->address]} backup; }

    $in{mesh}
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        mesh_timeout 5s;
    }
}

http {
    access_log off;
    $in{http}

    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
    }
}
CONF
}


sub run {
    my ($self) = @_;

    $self->SUPER::run;
    wait_for { $self->holders } 10, 'the lease'
        if $self->read_file('nginx.conf') =~ /state_path (?!off)/;

    return $self;
}


sub state_dir { $_[0]{state_dir} // $_[0]->dir . '/state/agent' }


# agents of a master, the one that is leaving too

sub agents {
    my ($self, $master) = @_;

    local $self->{pid} = $master // $self->{pid};

    return $self->children(qr/mesh agent process/);
}


# fence, pid and master of who has the lease, or had it last

sub lease {
    my ($self) = @_;

    return map { $_ + 0 } split ' ', $self->read_file($self->state_dir
                                                      . '/lock');
}


# who holds the lock really: as the kernel says

sub holders {
    my ($self) = @_;

    my @stat = stat $self->state_dir . '/lock' or return;

    open my $in, '<', '/proc/locks' or die "/proc/locks: $!";

    return map { /FLOCK.*WRITE (\d+) [0-9a-f]+:[0-9a-f]+:$stat[1] / ? $1 : () }
           <$in>;
}


# waits until somebody has the lease with a fence above this one: the pid

sub taken {
    my ($self, $fence, $seconds) = @_;

    return wait_for {
        my ($now, $pid) = $self->lease;
        $now && $now > $fence && "@{[$self->holders]}" eq $pid && $pid;
    } $seconds // 10;
}


# bulk(owner, services, endpoints of each): what a registry said before nginx
# starts; the directories are made for it

sub bulk {
    my ($self, @what) = @_;
    my $dir = $self->state_dir . '/learned';

    make_path($dir);
    chmod 0777, $self->state_dir, $dir;
    tool('learned', $dir, @what);

    chmod 0666, glob "$dir/*";
}


sub journal { return tool('show', $_[0]->state_dir) }


# changes the table through a worker's memory: its revision

sub change {
    my ($self, $what, @addresses) = @_;

    my ($worker) = $self->workers;

    open my $maps, '<', "/proc/$worker/maps" or die "maps: $!";
    my ($zone) = grep { defined } map {
        /^([0-9a-f]+)-([0-9a-f]+) rw-s /
            && hex($2) - hex($1) == ($self->{zone} // 8) << 20
            ? "$1-$2" : undef
    } <$maps>;
    die 'no zone' unless $zone;

    my ($status, $revision) = split ' ', (tool($what, $worker, $zone,
                                               @addresses))[0];
    die "the commit failed: $status\n" if $status > 1;

    return $revision;
}


sub put { my ($self, @a) = @_; return $self->change('put', @a) }
sub del { my ($self, @a) = @_; return $self->change('del', @a) }


# waits until the journal has the table of that revision

sub written {
    my ($self, $revision, $seconds) = @_;

    return $self->SUPER::written if !defined $revision;

    return wait_for {
        $self->metrics->{mesh_agent_journal_revision} >= $revision
    } $seconds // 10;
}


# a newer file than there is, as another instance would write it

sub foreign {
    my ($self, @addresses) = @_;

    my ($newest) = map { /^(\d+)/ } $self->journal;
    tool('write', $self->state_dir, ($newest // 0) + 1, 4711, 5000,
         @addresses);
}


1;
